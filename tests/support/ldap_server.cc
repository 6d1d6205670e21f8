#include "tests/support/ldap_server.h"

#include <fmt/format.h>

#include <filesystem>

#include "tests/support/free_port.h"
#include "tests/support/raw_client.h"
#include "tests/support/server_template.h"
#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

/// {0}: the fetched root, {1}: the directory of the data.
constexpr const char* kConfiguration = R"(
include {0}/etc/ldap/schema/core.schema
include {0}/etc/ldap/schema/cosine.schema
include {0}/etc/ldap/schema/nis.schema
modulepath {0}/usr/lib/ldap
moduleload back_mdb
database mdb
maxsize 10485760
suffix "dc=test"
directory {1}
access to attrs=userPassword by anonymous auth by * none
access to * by * read
)";

constexpr const char* kEntries = R"(dn: dc=test
objectClass: domain
dc: test

dn: uid=ldap_user,dc=test
objectClass: account
objectClass: posixAccount
uid: ldap_user
cn: ldap_user
uidNumber: 64100
gidNumber: 65534
homeDirectory: /nonexistent
userPassword: {}
)";

bool accepts(uint16_t port) {
  try {
    const RawClient client(port);
    return true;
  } catch (const TestError&) {
    return false;
  }
}

}  // namespace

const FetchedServer& fetched_ldap() {
  static const FetchedServer server("ldap");
  return server;
}

Available LdapServer::available() {
  return fetched_ldap().available();
}

LdapServer::LdapServer() : port_(free_port()) {
  if (const auto can = available(); !can) throw TestError(can.error());
  const auto data = dir_ / "data";
  std::filesystem::create_directory(data);
  give_to_server(data);
  write_file(dir_ / "slapd.conf", fmt::format(kConfiguration, fetched_ldap() / "", data));
  write_file(dir_ / "entries", fmt::format(kEntries, kLdapPassword));
  Process add({.argv = {fetched_ldap() / "usr/sbin/slapd", "-T", "add", "-f", dir_ / "slapd.conf",
                        "-l", dir_ / "entries"},
               .output = dir_ / "log",
               .account = server_account()});
  if (add.wait(30s) != 0) throw TestError("slapadd: " + read_file(dir_ / "log"));
  slapd_ = Process({.argv = {fetched_ldap() / "usr/sbin/slapd", "-f", dir_ / "slapd.conf", "-h",
                             url(), "-d", "0"},  // stays in the foreground
                    .output = dir_ / "log",
                    .account = server_account()});
  if (!eventually(20s, [&] { return accepts(port_); }))
    throw TestError("slapd does not answer: " + read_file(dir_ / "log"));
}

std::string LdapServer::url() const {
  return fmt::format("ldap://127.0.0.1:{}", port_);
}

}  // namespace sluice::test
