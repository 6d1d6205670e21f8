// The accounts of one cluster as the servers' grant tables have them: made by the monitor, mapped
// read-only by every worker (one copy in memory however many workers there are), matched by the
// server's own rules (match.h). The bytes come from a process that talks to servers: every offset
// is checked when it is used, nothing is trusted.
//
// How a table travels: encode() -> ipc::sealed_memfd() -> AccountsUpdate -> ipc::SealedMap::map()
// -> Table::open().
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/accounts/format.h"
#include "common/accounts/host.h"
#include "common/base/bytes.h"
#include "common/base/enum_names.h"
#include "common/base/result.h"

namespace sluice {
namespace accounts {

/// What a login with an account demands of the client's TLS (REQUIRE ...); see tls_satisfied().
enum class TlsRule : uint8_t {
  none,
  any,        ///< SSL: any encrypted connection
  x509,       ///< X509: a valid client certificate
  specified,  ///< ISSUER, SUBJECT or CIPHER: a valid certificate, and what is named
  cipher,     ///< CIPHER alone, in MariaDB: it wants no certificate for that
  secure,     ///< nothing, but the server has require_secure_transport: TLS or a Unix socket
  unknown,    ///< a rule of another release: the server refuses everybody
};

/// One way of proving who one is.
struct Proof {
  std::string_view plugin;  ///< "mysql_native_password", ...
  std::string_view text;    ///< authentication_string: "*6BB4837E…"; empty: no password
};

/// A few proofs in the server's order, without an allocation.
class ProofList {
 public:
  static constexpr std::size_t kMax = 8;

  void push_back(Proof proof) {
    if (size_ < kMax) proofs_[size_++] = proof;
  }
  const Proof* begin() const { return proofs_.data(); }
  const Proof* end() const { return begin() + size_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const Proof& operator[](std::size_t i) const { return proofs_[i]; }

 private:
  std::array<Proof, kMax> proofs_;
  std::size_t size_ = 0;
};

/// One row, as views into the table; they live as long as the table's mapping.
struct Account {
  std::string_view user, host;  ///< as in the grant table; user empty: anonymous
  ProofList proofs;             ///< alternatives; one, but for MariaDB's VIA a OR b
  TlsRule tls = TlsRule::none;
  std::string_view tls_cipher, tls_issuer, tls_subject;  ///< named by REQUIRE; empty: not named
  std::string_view more_factors;  ///< MySQL's 2nd and 3rd: plugins to be passed too ("webauthn")
  bool locked = false;
  bool is_role = false;
  bool password_expired = false;
  bool left_out = false;     ///< the server does not take the row for an account: see `problem`
  uint64_t expires_s = 0;    ///< when its password is too old, seconds since the epoch; 0: never
  std::string_view problem;  ///< why nobody can use it ("host names are …"); empty: somebody can
};

/// Whether a login leads to error 1862, or to a session that can only change the password.
bool expired(const Account& account, uint64_t now_s);

/// Why nobody gets in with this account, for `list accounts`; empty if somebody can. A literal or a
/// view into the table.
std::string_view reason(const Account& account);

/// What the monitor fills in; encoded by encode().
struct Row {
  std::string user, host;
  struct Proof {
    std::string plugin, text;
  };
  std::vector<Proof> proofs;  ///< what is beyond ProofList::kMax is left out
  bool locked = false, is_role = false;
  std::string problem;
  bool password_expired = false;
  TlsRule tls = TlsRule::none;
  std::string tls_cipher, tls_issuer, tls_subject, more_factors;
  uint64_t expires_s = 0;
  bool left_out = false;
};
/// A user and host pattern of mysql.db, tables_priv, columns_priv, procs_priv or proxies_priv. The
/// servers look privileges up there by the client's host and not by its account row, so that two
/// clients with one account can have different ones.
/// Source: MariaDB sql/sql_acl.cc acl_get(), name_hash_search(), acl_find_proxy_user(); MySQL
/// sql/auth/sql_auth_cache.cc acl_get(), acl_find_proxy_user().
struct GrantHost {
  std::string user, host;
};
struct Contents {
  Flavour flavour = Flavour::mariadb;
  bool skip_name_resolve = false;  ///< @@skip_name_resolve of the server
  uint64_t loaded_s = 0;           ///< when, seconds since the epoch
  std::string source;              ///< name of the server that it was read from
  std::vector<Row> rows;
  std::vector<GrantHost> grant_hosts;
};

/// The table's bytes, rows in the order in which the server tries them. The text in `contents` must
/// be below 4 GiB; whoever fills it sees to that (monitor/accounts_loader.h does).
Bytes encode(const Contents& contents);

/// A hash of all that an encoded table says, but for when and from which server it was read.
std::size_t fingerprint(ByteSpan encoded);

/// A view over encoded bytes, which must outlive it and what it hands out. Whatever the bytes are,
/// nothing outside them is ever read: a row that points outside is not there.
class Table {
 public:
  /// What decides which row is chosen, read without its proofs.
  struct Key {
    std::string_view user, host;
    uint64_t specificity = 0;  ///< host.h
    bool eligible = false;     ///< the server compares it: no role, not left out
  };
  struct Grant {
    std::string_view user, host;
  };

  /// A table that knows nobody.
  Table() = default;
  /// Checks the frame, not the rows: takes the same time for any number of them. Errc::ipc_protocol
  /// for what is no table, or of another release's format.
  static Result<Table> open(ByteSpan bytes);

  Flavour flavour() const { return flavour_; }
  bool skip_name_resolve() const { return skip_name_resolve_; }
  uint64_t loaded_s() const { return loaded_s_; }
  std::string_view source() const { return source_; }

  std::size_t size() const { return counts_.rows; }
  /// Row `i`: by user (bytewise, the anonymous ones first), then as the server tries them.
  std::optional<Account> at(std::size_t i) const;
  std::optional<Key> key(std::size_t i) const;

  /// The host parts of all eligible rows, each once: first those that must be tried, then the plain
  /// ones (host.h, is_plain()) in the order of compare_folded().
  std::size_t hosts() const { return counts_.hosts; }
  std::size_t patterns() const { return std::min(counts_.patterns, counts_.hosts); }
  std::optional<std::string_view> host(std::size_t i) const;

  /// By user, the anonymous ones first.
  std::size_t grant_hosts() const { return counts_.grant_hosts; }
  std::optional<Grant> grant_host(std::size_t i) const;

 private:
  std::optional<std::string_view> text(Text place) const;
  bool read_proofs(const RowRecord& row, ProofList& proofs) const;
  bool read_extra(const RowRecord& row, Account& account) const;

  ByteSpan bytes_;  ///< the whole table; offsets count from its start
  Flavour flavour_ = Flavour::mariadb;
  bool skip_name_resolve_ = false;
  uint64_t loaded_s_ = 0;
  std::string_view source_;
  Counts counts_;
};

}  // namespace accounts

template <>
inline constexpr auto kEnumNames<accounts::TlsRule> = names("none", "any", "x509", "specified",
                                                            "cipher", "secure", "unknown");

}  // namespace sluice
