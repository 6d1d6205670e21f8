#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/login_attempt.h"
#include "tests/support/mariadb_server.h"
#include "tests/support/own_namespace.h"
#include "tests/support/random_accounts.h"
#include "tests/support/sluice.h"

namespace sluice::test {

/// What kind of place the servers and sluice are in.
struct LoginWorldOptions {
  bool resolves_names = false;  ///< skip_name_resolve is off, and some addresses have names
  /// The address that sluice's connections come from: another one than 127.0.0.1 needs root.
  std::string proxy_address = "127.0.0.1";
  MariadbRelease release = MariadbRelease::Installed;
};

/// One way through sluice: a service, and what a client may expect of it.
struct LoginPath {
  std::string service;
  bool judged_as_connected = false;  ///< identity = "as-connected"
  bool allows_mismatch = false;
  bool announces = false;      ///< the server gets PROXY headers
  bool takes_headers = false;  ///< and so does the service
  bool encrypts = false;       ///< sluice's connections to the server
};

/// Who logs in.
struct LoginClient {
  std::string address;         ///< empty: a Unix socket
  LoginAttempt attempt{};      ///< user, password and so on; not where
  bool binary_header = false;  ///< version 2, where a header is needed
};

/// Addresses by which a login is judged.
struct Judged {
  std::string by;    ///< the client's own, or that of this host
  std::string seen;  ///< the one that the server gets to see
};

/// What servers answer to the same client without sluice. `own` is what it ought to get, `seen` is
/// what the server gives to a connection like the one that it gets from sluice.
struct LoginTruth {
  LoginOutcome own, seen;
  LoginOutcome seen_encrypted_as_client;  ///< like `seen`, with the client's TLS
  std::string own_row, seen_row;          ///< of the accounts, whatever the password; "none"
};

/// Two servers and sluice in front of one of them. "shop" is the server that is compared with
/// itself. "oracle" has the same rows, but none of them has a password, a lock or demands: it tells
/// which row the server chooses for whom.
class LoginWorld {
 public:
  /// Why such a world can't be had here; empty if it can.
  static std::string obstacle(const LoginWorldOptions& options);
  explicit LoginWorld(const LoginWorldOptions& options);

  const AccountPalette& palette() const { return palette_; }
  const std::vector<LoginPath>& paths() const { return paths_; }
  const std::vector<AttemptTls>& tls_choices() const { return tls_choices_; }
  Sluice& sluice() { return *sluice_; }
  /// What sluice itself does on the way to the server.
  AttemptTls proxy_tls(const LoginPath& path) const;

  /// Puts the accounts in force, at the servers and (in the background) in sluice.
  void set_accounts(const AccountSet& accounts);
  /// As SQL, for whoever wants to repeat it.
  std::string accounts_sql(const AccountSet& accounts) const;
  /// Until sluice has them. Throws when it can't load them.
  void wait_loaded();

  Judged judged(const LoginPath& path, const LoginClient& client) const;
  /// How the client gets to the server itself, as if it came from that address.
  LoginAttempt directly(const LoginClient& client, const std::string& from) const;
  LoginAttempt at_oracle(const LoginClient& client, const std::string& from) const;
  LoginAttempt through(const LoginPath& path, const LoginClient& client) const;
  /// The databases to try; a part of every comparison.
  const std::vector<std::string>& databases() const { return databases_; }

  /// Whether any of the grants holds for one of the two addresses and not for the other, as the
  /// oracle sees it. Its accounts are gone then, until set_accounts() is called.
  bool grants_differ(const AccountSet& accounts, const LoginClient& client, const Judged& judged);

 private:
  void enter(const LoginWorldOptions& options);
  void make_certificates();
  void start_servers(const LoginWorldOptions& options);
  void start_sluice();
  void fill_palette(const LoginWorldOptions& options);
  LoginAttempt at(const MariadbServer& server, const LoginClient& client,
                  const std::string& from) const;

  TempDir dir_;
  std::optional<OwnFiles> files_;
  std::optional<OwnNetwork> network_;
  std::string server_address_ = "127.0.0.1", proxy_address_;
  CertificateFiles server_certificate_, proxy_certificate_;
  std::string authorities_;  ///< file
  std::unique_ptr<MariadbServer> server_, oracle_;
  std::unique_ptr<Sluice> sluice_;
  std::optional<Process> load_;  ///< the `sluicectl reload accounts` that runs
  AccountPalette palette_;
  std::vector<LoginPath> paths_;
  std::vector<AttemptTls> tls_choices_;
  std::vector<std::string> databases_;
};

}  // namespace sluice::test
