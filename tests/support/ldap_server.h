#pragma once

#include <cstdint>
#include <string>

#include "tests/support/fetched.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace sluice::test {

inline constexpr const char* kLdapPassword = "ldap-secret";

/// A slapd on a port of 127.0.0.1, with one POSIX user in it: `ldap_user`, kLdapPassword.
/// Everything is gone with the object.
class LdapServer {
 public:
  LdapServer();

  static Available available();

  /// "ldap://127.0.0.1:PORT"
  std::string url() const;
  static const char* base() { return "dc=test"; }
  /// It answers nothing until resume().
  void suspend() { slapd_.suspend(); }
  void resume() { slapd_.resume(); }

 private:
  TempDir dir_;
  uint16_t port_;
  Process slapd_;
};

/// The files that fetch_servers got for LDAP.
const FetchedServer& fetched_ldap();

}  // namespace sluice::test
