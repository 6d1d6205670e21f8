// The format: a header, the rows (fixed size, sorted), their proofs (fixed size), then all text,
// each string once. Both ends are of one machine, so numbers stand in its byte order.
#include "common/accounts/table.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <unordered_map>

namespace sluice::accounts {
namespace {

constexpr std::array<char, 8> kMagic = {'s', 'l', 'a', 'c', 'c', 't', 's', '\n'};
constexpr uint32_t kVersion = 1;  // another layout gets another number

struct Text {
  uint32_t offset = 0;
  uint32_t length = 0;
};
struct Header {
  std::array<char, 8> magic = kMagic;
  uint32_t version = kVersion;
  uint8_t flavour = 0;
  uint8_t skip_name_resolve = 0;
  uint16_t unused = 0;
  uint64_t loaded_s = 0;
  uint32_t rows = 0;
  uint32_t proofs = 0;
  Text source;
};
struct RowRecord {
  Text user, host, problem;
  uint64_t specificity = 0;
  uint32_t first_proof = 0;
  uint16_t proofs = 0;
  uint8_t flags = 0;
  uint8_t tls = 0;
};
struct ProofRecord {
  Text plugin, text;
};
static_assert(sizeof(Header) == 40 && sizeof(RowRecord) == 40 && sizeof(ProofRecord) == 16);

enum Flag : uint8_t { kLocked = 1, kRole = 2, kExpired = 4 };

/// The record at `offset`, wherever it is aligned; nothing if it is not wholly inside.
template <class T>
std::optional<T> record(ByteSpan bytes, std::size_t offset) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return std::nullopt;
  T out;
  std::memcpy(&out, bytes.data() + offset, sizeof(T));
  return out;
}

template <class T>
void append(Bytes& out, const T& record) {
  const auto* from = reinterpret_cast<const std::byte*>(&record);
  out.insert(out.end(), from, from + sizeof(T));
}

constexpr std::size_t row_offset(std::size_t row) {
  return sizeof(Header) + row * sizeof(RowRecord);
}
constexpr std::size_t proof_offset(std::size_t rows, std::size_t proof) {
  return row_offset(rows) + proof * sizeof(ProofRecord);
}

/// Hands out places for strings in the text area, one for each different string.
class TextArea {
 public:
  explicit TextArea(std::size_t start) : start_(start) {}

  /// `text` must outlive this object.
  Text add(std::string_view text) {
    if (text.empty()) return {};
    const auto place = static_cast<uint32_t>(start_ + size_);
    const auto [known, is_new] = places_.try_emplace(text, place);
    if (is_new) {
      order_.push_back(text);
      size_ += text.size();
    }
    return {known->second, static_cast<uint32_t>(text.size())};
  }
  void append_to(Bytes& out) const {
    for (const auto text : order_) ByteWriter(out).text(text);
  }

 private:
  std::size_t start_;
  std::size_t size_ = 0;
  std::unordered_map<std::string_view, uint32_t> places_;
  std::vector<std::string_view> order_;
};

uint8_t flags_of(const Row& row) {
  return static_cast<uint8_t>((row.locked ? kLocked : 0) | (row.is_role ? kRole : 0) |
                              (row.password_expired ? kExpired : 0));
}

/// A row and what it is sorted by.
struct Ranked {
  const Row* row;
  uint64_t specificity;
};

/// The rows as the server tries them: by user, and of one user the most specific first. Equally
/// specific ones: MariaDB takes the greater host text first (sql/sql_acl.cc acl_user_compare());
/// in MySQL their order is undefined, and small sets stay as they are read, by host.
std::vector<Ranked> sorted(const Contents& contents) {
  std::vector<Ranked> ranked;
  ranked.reserve(contents.rows.size());
  for (const Row& row : contents.rows)
    ranked.push_back({&row, specificity(contents.flavour, row.host, row.user)});
  std::ranges::stable_sort(ranked, [&](const Ranked& a, const Ranked& b) {
    if (a.row->user != b.row->user) return a.row->user < b.row->user;
    if (a.specificity != b.specificity) return a.specificity > b.specificity;
    return contents.flavour == Flavour::mariadb ? a.row->host > b.row->host
                                                : a.row->host < b.row->host;
  });
  return ranked;
}

}  // namespace

std::string_view reason(const Account& account) {
  if (account.is_role) return "a role: nobody logs in as it";
  if (!account.problem.empty()) return account.problem;
  return account.locked ? "locked" : std::string_view();
}

Bytes encode(const Contents& contents) {
  const auto kept = [](const Row& row) { return std::min(row.proofs.size(), ProofList::kMax); };
  std::size_t all_proofs = 0;
  for (const Row& row : contents.rows) all_proofs += kept(row);

  TextArea text(proof_offset(contents.rows.size(), all_proofs));
  Header header;
  header.flavour = static_cast<uint8_t>(contents.flavour);
  header.skip_name_resolve = contents.skip_name_resolve ? 1 : 0;
  header.loaded_s = contents.loaded_s;
  header.rows = static_cast<uint32_t>(contents.rows.size());
  header.proofs = static_cast<uint32_t>(all_proofs);
  header.source = text.add(contents.source);

  Bytes out;
  out.reserve(proof_offset(contents.rows.size(), all_proofs));
  append(out, header);
  std::vector<ProofRecord> proofs;
  proofs.reserve(all_proofs);
  for (const auto& [row, specificity] : sorted(contents)) {
    append(out,
           RowRecord{text.add(row->user), text.add(row->host), text.add(row->problem), specificity,
                     static_cast<uint32_t>(proofs.size()), static_cast<uint16_t>(kept(*row)),
                     flags_of(*row), static_cast<uint8_t>(row->tls)});
    for (std::size_t i = 0; i < kept(*row); ++i)
      proofs.push_back({text.add(row->proofs[i].plugin), text.add(row->proofs[i].text)});
  }
  for (const auto& proof : proofs) append(out, proof);
  text.append_to(out);
  return out;
}

Result<Table> Table::open(ByteSpan bytes) {
  const auto header = record<Header>(bytes, 0);
  if (!header || header->magic != kMagic)
    return fail(Errc::ipc_protocol, "these bytes are no table of accounts");
  if (header->version != kVersion)
    return fail(Errc::ipc_protocol, "the table of accounts has format " +
                                        std::to_string(header->version) + ", this program knows " +
                                        std::to_string(kVersion));
  Table table;
  table.bytes_ = bytes;
  const auto source = table.text(header->source.offset, header->source.length);
  const auto flavour = static_cast<Flavour>(header->flavour);
  // 32-bit counts of 40-byte records: can't wrap in 64 bits.
  if (proof_offset(header->rows, header->proofs) > bytes.size() || !source ||
      header->flavour >= kEnumNames<Flavour>.size())
    return fail(Errc::ipc_protocol, "the table of accounts is damaged");
  table.flavour_ = flavour;
  table.skip_name_resolve_ = header->skip_name_resolve != 0;
  table.loaded_s_ = header->loaded_s;
  table.source_ = *source;
  table.rows_ = header->rows;
  table.proofs_ = header->proofs;
  return table;
}

std::optional<std::string_view> Table::text(uint32_t offset, uint32_t length) const {
  if (offset > bytes_.size() || length > bytes_.size() - offset) return std::nullopt;
  return as_text(bytes_.subspan(offset, length));
}

std::optional<Table::Key> Table::key(std::size_t i) const {
  if (i >= rows_) return std::nullopt;
  const auto row = record<RowRecord>(bytes_, row_offset(i));
  if (!row) return std::nullopt;
  const auto user = text(row->user.offset, row->user.length);
  const auto host = text(row->host.offset, row->host.length);
  if (!user || !host) return std::nullopt;
  return Key{*user, *host, row->specificity, (row->flags & kRole) != 0};
}

std::optional<Account> Table::at(std::size_t i) const {
  const auto key = this->key(i);
  if (!key) return std::nullopt;
  const auto row = record<RowRecord>(bytes_, row_offset(i));
  const auto problem = text(row->problem.offset, row->problem.length);
  if (!problem || row->proofs > proofs_ || row->first_proof > proofs_ - row->proofs ||
      row->tls >= kEnumNames<TlsRule>.size())
    return std::nullopt;

  Account account{.user = key->user, .host = key->host, .tls = static_cast<TlsRule>(row->tls)};
  account.locked = (row->flags & kLocked) != 0;
  account.is_role = key->is_role;
  account.password_expired = (row->flags & kExpired) != 0;
  account.problem = *problem;
  for (std::size_t p = 0; p < std::min<std::size_t>(row->proofs, ProofList::kMax); ++p) {
    const auto proof = record<ProofRecord>(bytes_, proof_offset(rows_, row->first_proof + p));
    if (!proof) return std::nullopt;
    const auto plugin = text(proof->plugin.offset, proof->plugin.length);
    const auto secret = text(proof->text.offset, proof->text.length);
    if (!plugin || !secret) return std::nullopt;
    account.proofs.push_back({*plugin, *secret});
  }
  return account;
}

}  // namespace sluice::accounts
