// The accounts of one cluster as the servers' grant tables have them: made by the monitor, mapped
// read-only by every worker (one copy in memory however many workers there are), matched by the
// server's own rules (match.h). The bytes come from a process that talks to servers: every offset
// is checked when it is used, nothing is trusted.
//
// How a table travels: encode() -> ipc::sealed_memfd() -> AccountsUpdate -> ipc::SealedMap::map()
// -> Table::open().
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/accounts/host.h"
#include "common/base/bytes.h"
#include "common/base/enum_names.h"
#include "common/base/result.h"

namespace sluice {
namespace accounts {

/// What an account demands of the client's TLS (REQUIRE ...).
enum class TlsRule : uint8_t {
  none,
  any,        ///< SSL: any encrypted connection
  x509,       ///< X509: a valid client certificate
  specified,  ///< ISSUER, SUBJECT or CIPHER
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
  bool locked = false;
  bool is_role = false;
  bool password_expired = false;
  std::string_view problem;  ///< why sluice can't use it ("host names are …"); empty: it can
};

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
};
struct Contents {
  Flavour flavour = Flavour::mariadb;
  bool skip_name_resolve = false;  ///< @@skip_name_resolve of the server
  uint64_t loaded_s = 0;           ///< when, seconds since the epoch
  std::string source;              ///< name of the server that it was read from
  std::vector<Row> rows;
};

/// The table's bytes, rows in the order in which the server tries them. The text in `contents` must
/// be below 4 GiB; whoever fills it sees to that (monitor/accounts_loader.h does).
Bytes encode(const Contents& contents);

/// A view over encoded bytes, which must outlive it and what it hands out. Whatever the bytes are,
/// nothing outside them is ever read: a row that points outside is not there.
class Table {
 public:
  /// What decides which row is chosen, read without its proofs.
  struct Key {
    std::string_view user, host;
    uint64_t specificity = 0;  ///< host.h
    bool is_role = false;
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

  std::size_t size() const { return rows_; }
  /// Row `i`: by user (bytewise, the anonymous ones first), then as the server tries them.
  std::optional<Account> at(std::size_t i) const;
  std::optional<Key> key(std::size_t i) const;

 private:
  std::optional<std::string_view> text(uint32_t offset, uint32_t length) const;

  ByteSpan bytes_;  ///< the whole table; offsets count from its start
  Flavour flavour_ = Flavour::mariadb;
  bool skip_name_resolve_ = false;
  uint64_t loaded_s_ = 0;
  std::string_view source_;
  uint32_t rows_ = 0;
  uint32_t proofs_ = 0;
};

}  // namespace accounts

template <>
inline constexpr auto kEnumNames<accounts::TlsRule> = names("none", "any", "x509", "specified");

}  // namespace sluice
