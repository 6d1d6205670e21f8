#include "tests/support/pam_server.h"

#include <fmt/format.h>

#include <filesystem>

#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;

/// kPamPassword as crypt(5) has it.
constexpr const char* kPamHash =
    "$6$sluicetest$I4jOKDNl.pAxmq/yP55IpMZt6fXdfqFU01sqQXreFOeDMMQqUA0lR8ke9rDG6pT1RNb/"
    "ej42F9mRIGulffO0E0";

constexpr const char* kPasswordService =
    "auth    required pam_unix.so nodelay\n"
    "account required pam_unix.so\n";
constexpr const char* kTwoQuestionsService =
    "auth    required pam_unix.so nodelay\n"
    "auth    required pam_oath.so usersfile=/etc/codes digits=6 window=5\n"
    "account required pam_unix.so\n";
/// By its path: it is not installed.
constexpr const char* kLdapService =
    "auth    required {0}\n"
    "account required {0}\n";

/// For pam_oath: event-based, no PIN, the secret of RFC 4226.
constexpr const char* kCodes = "HOTP two_questions - 3132333435363738393031323334353637383930\n";

/// Where Debian's libpam looks for modules.
bool has_module(const char* name) {
  for (const auto& entry : fs::directory_iterator("/usr/lib"))
    if (fs::exists(entry.path() / "security" / name)) return true;
  return false;
}

ServerOptions options(PamClient client, std::vector<Mount> mounts) {
  ServerOptions options{.extra_args = {"--plugin-load-add=auth_pam"}, .mounts = std::move(mounts)};
  if (client == PamClient::ClearPassword)
    options.extra_args.push_back("--pam-use-cleartext-plugin=ON");
  return options;
}

}  // namespace

PamFiles::PamFiles(const LdapServer* ldap) {
  system_.add_user("pam_user", kPamHash);
  system_.add_user("two_questions", kPamHash);
  system_.write_etc("pam.d/test-password", kPasswordService);
  system_.write_etc("pam.d/test-two-questions", kTwoQuestionsService);
  if (!ldap) return;

  system_.write_etc("pam.d/test-ldap",
                    fmt::format(kLdapService, fetched_ldap().library("security/pam_ldap.so")));
  system_.write_etc("nslcd.conf", fmt::format("uri {}\nbase {}\n", ldap->url(), ldap->base()),
                    PrivateSystem::Mode::Secret);
  nslcd_ = Process({.argv = {fetched_ldap() / "usr/sbin/nslcd", "--nofork"},
                    .output = system_.run("nslcd.log"),
                    .account = std::nullopt,
                    .mounts = system_.mounts()});
  if (!eventually(10s, [&] { return fs::exists(system_.run("nslcd/socket")); }))
    throw TestError("nslcd does not answer: " + read_file(system_.run("nslcd.log")));
}

PamServer::PamServer(PamClient client, const LdapServer* ldap)
    : PamFiles(ldap), MariadbServer(options(client, system_.mounts())) {
  renew_code();
  exec(
      "CREATE USER pam_user@'%' IDENTIFIED VIA pam USING 'test-password';"
      "CREATE USER two_questions@'%' IDENTIFIED VIA pam USING 'test-two-questions';"
      "CREATE USER ldap_user@'%' IDENTIFIED VIA pam USING 'test-ldap';"
      "GRANT SELECT ON test.* TO pam_user@'%', two_questions@'%', ldap_user@'%'");
}

Available PamServer::available() {
  if (!PrivateSystem::available())
    return tl::unexpected(std::string("only root can give a server an /etc of its own"));
  if (!has_module("pam_oath.so"))
    return tl::unexpected(std::string("no pam_oath.so; is libpam-oath installed?"));
  return {};
}

void PamServer::renew_code() {
  system_.write_etc("codes", kCodes, PrivateSystem::Mode::Secret);
}

}  // namespace sluice::test
