#pragma once

#include "tests/support/ldap_server.h"
#include "tests/support/mariadb_server.h"
#include "tests/support/private_system.h"

namespace sluice::test {

inline constexpr const char* kPamPassword = "pam-secret";
/// The first one-time code of the secret in RFC 4226, appendix D.
inline constexpr const char* kPamCode = "755224";

/// By which client plugin a PamServer asks.
enum class PamClient {
  Dialog,         ///< `dialog`: any number of questions
  ClearPassword,  ///< `mysql_clear_password`: one password, no question
};

/// What a PamServer judges logins by: PAM services and users in a system of its own.
class PamFiles {
 public:
  explicit PamFiles(const LdapServer* ldap);

 protected:
  PrivateSystem system_;
  Process nslcd_;  ///< asks the LDAP server for PAM
};

/// A MariadbServer with accounts that PAM judges (plugin auth_pam), for '%', with SELECT on `test`:
///   pam_user        pam_unix: kPamPassword
///   two_questions   pam_unix, then pam_oath: kPamPassword, and a code that is good for one login
///   ldap_user       pam_ldap, where an LDAP server is given: kLdapPassword
class PamServer : private PamFiles, public MariadbServer {
 public:
  explicit PamServer(PamClient client = PamClient::Dialog, const LdapServer* ldap = nullptr);

  static Available available();

  /// Makes kPamCode good again.
  void renew_code();
};

}  // namespace sluice::test
