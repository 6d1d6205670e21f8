#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tests/support/login_wire.h"

namespace sluice::test {

/// One login: where, from where, as whom, and what the client is able to do.
struct LoginAttempt : WireEnds {
  std::string header{};  ///< a PROXY header, sent ahead of everything

  std::string user{}, password{}, database{};
  uint8_t collation = kUtf8;  ///< in which the user's name is meant
  AttemptTls tls{};
  bool handles_expiry = false;  ///< CLIENT_CAN_HANDLE_EXPIRED_PASSWORDS

  /// Not empty: log in as this user without a password, and become `user` by COM_CHANGE_USER.
  std::string first_as{};

  static constexpr uint8_t kUtf8 = 45, kLatin1 = 8;
};

/// What came of it, as far as a client can see it.
struct LoginOutcome {
  unsigned error = 0;                   ///< the server's or the library's; 0: logged in
  std::string text;                     ///< of the error
  std::string account, role, database;  ///< CURRENT_USER() and so on, or why they can't be asked
  std::string usable;                   ///< for each database in question: +, or the error of USE

  unsigned packets = 0;  ///< that came until then
  TlsSession session{};  ///< where it was encrypted
  bool resumed = false;

  bool accepted() const { return error == 0; }
  /// But for the text of the error, which may name an address.
  bool same_as(const LoginOutcome& other) const;
  std::string describe() const;
};

inline constexpr unsigned kNobodyThere = 2003, kConnectionLost = 2013, kTlsFailed = 2026,
                          kUnknownPlugin = 2059;

/// Tries to log in, and which of `databases` can be used then. Throws nothing.
LoginOutcome try_login(const LoginAttempt& attempt, std::span<const std::string> databases);
/// Many at a time; outcomes in the order of the attempts.
std::vector<LoginOutcome> try_logins(std::span<const LoginAttempt> attempts,
                                     std::span<const std::string> databases, unsigned threads);

}  // namespace sluice::test
