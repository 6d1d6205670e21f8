#include <algorithm>
#include <unordered_map>

#include "common/accounts/format.h"
#include "common/accounts/table.h"

namespace sluice::accounts {
namespace {

template <class T>
void append(Bytes& out, const T& record) {
  const auto* from = reinterpret_cast<const std::byte*>(&record);
  out.insert(out.end(), from, from + sizeof(T));
}

template <class T>
void append_all(Bytes& out, const std::vector<T>& records) {
  for (const T& record : records) append(out, record);
}

/// Hands out places for strings in the text area, one for each different string.
class TextArea {
 public:
  /// For about `strings` different ones.
  TextArea(std::size_t start, std::size_t strings) : end_(start) {
    places_.reserve(strings);
    order_.reserve(strings);
  }

  /// `text` must outlive this object.
  Text add(std::string_view text) {
    if (text.empty()) return {};
    const auto [known, is_new] = places_.try_emplace(text, static_cast<uint32_t>(end_));
    return is_new ? add_anew(text) : Text{known->second, static_cast<uint32_t>(text.size())};
  }
  /// At the end of the area, though the string may be in it already.
  Text add_anew(std::string_view text) {
    const Text place{static_cast<uint32_t>(end_), static_cast<uint32_t>(text.size())};
    order_.push_back(text);
    end_ += text.size();
    return place;
  }
  void append_to(Bytes& out) const {
    for (const auto text : order_) ByteWriter(out).text(text);
  }

 private:
  std::size_t end_;
  std::unordered_map<std::string_view, uint32_t> places_;
  std::vector<std::string_view> order_;
};

/// A row and what it is sorted by.
struct Ranked {
  const Row* row;
  uint64_t specificity;
};

/// The rows as the server tries them: by user, and of one user the most specific first. Equally
/// specific ones: MariaDB takes the greater host text first (sql/sql_acl.cc acl_user_compare());
/// in MySQL their order is undefined (match.h, undecided()).
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

std::size_t proofs_kept(const Row& row) {
  return std::min(row.proofs.size(), ProofList::kMax);
}

bool has_extra(const Row& row) {
  return !row.tls_cipher.empty() || !row.tls_issuer.empty() || !row.tls_subject.empty() ||
         !row.more_factors.empty() || row.expires_s != 0;
}

uint8_t flags_of(const Row& row) {
  return static_cast<uint8_t>((row.locked ? kLocked : 0) | (row.is_role ? kRole : 0) |
                              (row.password_expired ? kExpired : 0) |
                              (row.left_out ? kLeftOut : 0));
}

/// The host parts of all rows that the server compares, each once.
struct Hosts {
  std::vector<std::string_view> all;  ///< those that must be tried, then the plain ones in order
  std::size_t patterns = 0;           ///< how many must be tried
};

Hosts distinct_hosts(const Contents& contents) {
  Hosts hosts;
  for (const Row& row : contents.rows)
    if (!row.is_role && !row.left_out) hosts.all.push_back(row.host);
  std::ranges::sort(hosts.all);
  hosts.all.erase(std::unique(hosts.all.begin(), hosts.all.end()), hosts.all.end());
  const auto plain = std::stable_partition(hosts.all.begin(), hosts.all.end(),
                                           [](std::string_view host) { return !is_plain(host); });
  hosts.patterns = static_cast<std::size_t>(plain - hosts.all.begin());
  std::stable_sort(plain, hosts.all.end(),
                   [](std::string_view a, std::string_view b) { return compare_folded(a, b) < 0; });
  return hosts;
}

std::vector<const GrantHost*> sorted_grant_hosts(const Contents& contents) {
  std::vector<const GrantHost*> sorted;
  sorted.reserve(contents.grant_hosts.size());
  for (const GrantHost& grant : contents.grant_hosts) sorted.push_back(&grant);
  std::ranges::stable_sort(
      sorted, {}, [](const GrantHost* grant) -> const std::string& { return grant->user; });
  return sorted;
}

Counts count(const Contents& contents, const Hosts& hosts) {
  std::size_t proofs = 0, extras = 0;
  for (const Row& row : contents.rows) {
    proofs += proofs_kept(row);
    extras += has_extra(row) ? 1 : 0;
  }
  return {.rows = static_cast<uint32_t>(contents.rows.size()),
          .proofs = static_cast<uint32_t>(proofs),
          .extras = static_cast<uint32_t>(extras),
          .hosts = static_cast<uint32_t>(hosts.all.size()),
          .patterns = static_cast<uint32_t>(hosts.patterns),
          .grant_hosts = static_cast<uint32_t>(contents.grant_hosts.size())};
}

/// Writes the arrays that follow the header and notes their text.
class Encoder {
 public:
  Encoder(Bytes& out, const Contents& contents, const Counts& counts)
      : out_(out), text_(Layout(counts).text, 2 * contents.rows.size()) {
    proofs_.reserve(counts.proofs);
    extras_.reserve(counts.extras);
  }

  void rows(const std::vector<Ranked>& ranked) {
    for (const auto& [row, specificity] : ranked) add(*row, specificity);
    append_all(out_, proofs_);
    append_all(out_, extras_);
  }
  void hosts(const std::vector<std::string_view>& hosts) {
    for (const auto host : hosts) append(out_, text_.add(host));
  }
  void grant_hosts(const std::vector<const GrantHost*>& grants) {
    for (const auto* grant : grants)
      append(out_, GrantHostRecord{text_.add(grant->user), text_.add(grant->host)});
  }
  Text finish(std::string_view source) {
    const auto place = text_.add_anew(source);
    text_.append_to(out_);
    return place;
  }

 private:
  void add(const Row& row, uint64_t specificity) {
    RowRecord record{.user = text_.add(row.user),
                     .host = text_.add(row.host),
                     .problem = text_.add(row.problem),
                     .specificity = specificity,
                     .first_proof = static_cast<uint32_t>(proofs_.size()),
                     .proofs = static_cast<uint16_t>(proofs_kept(row)),
                     .flags = flags_of(row),
                     .tls = static_cast<uint8_t>(row.tls)};
    for (std::size_t i = 0; i < proofs_kept(row); ++i)
      proofs_.push_back({text_.add(row.proofs[i].plugin), text_.add(row.proofs[i].text)});
    if (has_extra(row)) {
      extras_.push_back({text_.add(row.tls_cipher), text_.add(row.tls_issuer),
                         text_.add(row.tls_subject), text_.add(row.more_factors), row.expires_s});
      record.extra = static_cast<uint32_t>(extras_.size());
    }
    append(out_, record);
  }

  Bytes& out_;
  TextArea text_;
  std::vector<ProofRecord> proofs_;
  std::vector<ExtraRecord> extras_;
};

}  // namespace

Bytes encode(const Contents& contents) {
  const auto hosts = distinct_hosts(contents);
  Header header{.flavour = static_cast<uint8_t>(contents.flavour),
                .skip_name_resolve = static_cast<uint8_t>(contents.skip_name_resolve ? 1 : 0),
                .loaded_s = contents.loaded_s,
                .counts = count(contents, hosts)};
  const Layout layout(header.counts);

  Bytes out;
  out.reserve(layout.text);
  append(out, header);
  Encoder encoder(out, contents, header.counts);
  encoder.rows(sorted(contents));
  encoder.hosts(hosts.all);
  encoder.grant_hosts(sorted_grant_hosts(contents));
  header.source = encoder.finish(contents.source);
  std::memcpy(out.data(), &header, sizeof header);
  return out;
}

std::size_t fingerprint(ByteSpan encoded) {
  auto header = record<Header>(encoded, 0);
  if (!header || header->source.offset < sizeof(Header) || header->source.offset > encoded.size())
    return 0;
  const auto body = encoded.subspan(sizeof(Header), header->source.offset - sizeof(Header));
  header->loaded_s = 0;
  header->source = {};
  const auto* bytes = reinterpret_cast<const char*>(&*header);
  const std::hash<std::string_view> hash;
  return hash(as_text(body)) ^ (hash({bytes, sizeof(Header)}) << 1);
}

}  // namespace sluice::accounts
