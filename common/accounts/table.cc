#include "common/accounts/table.h"

#include <algorithm>

namespace sluice::accounts {

bool expired(const Account& account, uint64_t now_s) {
  return account.password_expired || (account.expires_s != 0 && now_s >= account.expires_s);
}

std::string_view reason(const Account& account) {
  if (account.is_role) return "a role: nobody logs in as it";
  if (!account.problem.empty()) return account.problem;
  return account.locked ? "locked" : std::string_view();
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
  const auto source = table.text(header->source);
  if (Layout(header->counts).text > bytes.size() || !source ||
      header->flavour >= kEnumNames<Flavour>.size())
    return fail(Errc::ipc_protocol, "the table of accounts is damaged");
  table.flavour_ = static_cast<Flavour>(header->flavour);
  table.skip_name_resolve_ = header->skip_name_resolve != 0;
  table.loaded_s_ = header->loaded_s;
  table.source_ = *source;
  table.counts_ = header->counts;
  return table;
}

std::optional<std::string_view> Table::text(Text place) const {
  if (place.offset > bytes_.size() || place.length > bytes_.size() - place.offset)
    return std::nullopt;
  return as_text(bytes_.subspan(place.offset, place.length));
}

std::optional<Table::Key> Table::key(std::size_t i) const {
  if (i >= counts_.rows) return std::nullopt;
  const auto row = record<RowRecord>(bytes_, Layout(counts_).rows + i * sizeof(RowRecord));
  if (!row) return std::nullopt;
  const auto user = text(row->user), host = text(row->host);
  if (!user || !host) return std::nullopt;
  return Key{*user, *host, row->specificity, (row->flags & (kRole | kLeftOut)) == 0};
}

std::optional<Account> Table::at(std::size_t i) const {
  const auto key = this->key(i);
  if (!key) return std::nullopt;
  const auto row = record<RowRecord>(bytes_, Layout(counts_).rows + i * sizeof(RowRecord));
  const auto problem = text(row->problem);
  if (!problem || row->tls >= kEnumNames<TlsRule>.size()) return std::nullopt;

  Account account{.user = key->user, .host = key->host, .tls = static_cast<TlsRule>(row->tls)};
  account.locked = (row->flags & kLocked) != 0;
  account.is_role = (row->flags & kRole) != 0;
  account.password_expired = (row->flags & kExpired) != 0;
  account.left_out = (row->flags & kLeftOut) != 0;
  account.problem = *problem;
  if (!read_proofs(*row, account.proofs) || !read_extra(*row, account)) return std::nullopt;
  return account;
}

bool Table::read_proofs(const RowRecord& row, ProofList& proofs) const {
  if (row.proofs > counts_.proofs || row.first_proof > counts_.proofs - row.proofs) return false;
  const auto start = Layout(counts_).proofs + row.first_proof * sizeof(ProofRecord);
  for (std::size_t i = 0; i < std::min<std::size_t>(row.proofs, ProofList::kMax); ++i) {
    const auto proof = record<ProofRecord>(bytes_, start + i * sizeof(ProofRecord));
    if (!proof) return false;
    const auto plugin = text(proof->plugin), secret = text(proof->text);
    if (!plugin || !secret) return false;
    proofs.push_back({*plugin, *secret});
  }
  return true;
}

bool Table::read_extra(const RowRecord& row, Account& account) const {
  if (row.extra == 0) return true;
  if (row.extra > counts_.extras) return false;
  const auto extra =
      record<ExtraRecord>(bytes_, Layout(counts_).extras + (row.extra - 1) * sizeof(ExtraRecord));
  if (!extra) return false;
  const auto cipher = text(extra->tls_cipher), issuer = text(extra->tls_issuer),
             subject = text(extra->tls_subject), factors = text(extra->more_factors);
  if (!cipher || !issuer || !subject || !factors) return false;
  account.tls_cipher = *cipher;
  account.tls_issuer = *issuer;
  account.tls_subject = *subject;
  account.more_factors = *factors;
  account.expires_s = extra->expires_s;
  return true;
}

std::optional<std::string_view> Table::host(std::size_t i) const {
  if (i >= counts_.hosts) return std::nullopt;
  const auto place = record<Text>(bytes_, Layout(counts_).hosts + i * sizeof(Text));
  return place ? text(*place) : std::nullopt;
}

std::optional<Table::Grant> Table::grant_host(std::size_t i) const {
  if (i >= counts_.grant_hosts) return std::nullopt;
  const auto grant =
      record<GrantHostRecord>(bytes_, Layout(counts_).grant_hosts + i * sizeof(GrantHostRecord));
  if (!grant) return std::nullopt;
  const auto user = text(grant->user), host = text(grant->host);
  if (!user || !host) return std::nullopt;
  return Grant{*user, *host};
}

}  // namespace sluice::accounts
