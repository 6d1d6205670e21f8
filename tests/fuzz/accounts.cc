// The table of accounts as hostile bytes, and find() against a plain reading of the same rows. The
// first byte chooses. Properties: nothing outside the bytes is read, no loop without end, and what
// the searches give is what trying every row would.
#include <fuzzer/FuzzedDataProvider.h>

#include <cctype>
#include <cstdlib>

#include "common/accounts/match.h"

namespace sluice::accounts {
namespace {

const Peer kPeers[] = {{"10.1.2.3", ""}, {"", ""}, {"127.0.0.1", ""}, {"::1", "web1.example.com"}};

void read_everything(ByteSpan bytes) {
  const auto table = Table::open(bytes);
  if (!table) return;
  for (std::size_t i = 0; i < table->size(); ++i)
    if (const auto account = table->at(i))
      for (const auto& proof : account->proofs)
        if (proof.plugin.size() > bytes.size()) std::abort();
  for (const Peer& peer : kPeers) {
    if (const auto account = find(*table, "app", peer)) tls_satisfied(*account, {});
    undecided(*table, "app", peer);
    host_allowed(*table, peer);
    same_grants(*table, "app", peer, kPeers[0]);
  }
  names_matter(*table, "app");
  fingerprint(bytes);
}

/// A good table with some bytes replaced: gets past the header.
Bytes damaged_table(FuzzedDataProvider& data) {
  Contents contents{.source = "db1"};
  for (const char* user : {"", "app", "app", "role"})
    contents.rows.push_back({user, "10.%", {{"plugin", "text"}, {"other", ""}}});
  contents.rows.back().tls_subject = "/CN=app";
  contents.grant_hosts = {{"app", "10.%"}, {"", "web1"}};
  auto bytes = encode(contents);
  while (data.remaining_bytes() > 0) {
    const auto at = data.ConsumeIntegralInRange<std::size_t>(0, bytes.size() - 1);
    bytes[at] = static_cast<std::byte>(data.ConsumeIntegral<uint8_t>());
  }
  return bytes;
}

/// The pattern rule once more, as its definition says it.
bool plain_like(std::string_view pattern, std::string_view text, Case letters) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '%')
    return plain_like(pattern.substr(1), text, letters) ||
           (!text.empty() && plain_like(pattern, text.substr(1), letters));
  if (text.empty()) return false;
  const std::size_t taken = pattern[0] == '\\' && pattern.size() > 1 ? 2 : 1;
  const bool same = letters == Case::fold
                        ? std::tolower(static_cast<unsigned char>(pattern[taken - 1])) ==
                              std::tolower(static_cast<unsigned char>(text[0]))
                        : pattern[taken - 1] == text[0];
  if (pattern[0] != '_' && !same) return false;
  return plain_like(pattern.substr(taken), text.substr(1), letters);
}

bool plainly_covers(const Table& table, std::string_view host, const Peer& seen) {
  if (table.flavour() == Flavour::mariadb && table.skip_name_resolve() && needs_resolving(host))
    return false;
  return host_matches(table.flavour(), host, seen);
}

/// The best of all rows that cover the client, by trying every one.
std::optional<Account> try_every_row(const Table& table, std::string_view user,
                                     const Peer& client) {
  const Peer seen = as_seen_by(table, client);
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < table.size(); ++i) {
    const auto key = table.key(i);
    if (!key->eligible || (!key->user.empty() && key->user != user)) continue;
    if (!plainly_covers(table, key->host, seen)) continue;
    if (!best || key->specificity > table.key(*best)->specificity) best = i;
  }
  return best ? table.at(*best) : std::nullopt;
}

bool any_row_allows(const Table& table, const Peer& client) {
  const Peer seen = as_seen_by(table, client);
  for (std::size_t i = 0; i < table.size(); ++i)
    if (table.key(i)->eligible && plainly_covers(table, table.key(i)->host, seen)) return true;
  return false;
}

bool grants_differ(const Table& table, const Peer& a, const Peer& b) {
  const Peer one = as_seen_by(table, a), other = as_seen_by(table, b);
  for (std::size_t i = 0; i < table.grant_hosts(); ++i) {
    const auto grant = table.grant_host(i);
    if (!grant->user.empty() && grant->user != "app") continue;
    if (plainly_covers(table, grant->host, one) != plainly_covers(table, grant->host, other))
      return true;
  }
  return false;
}

Contents random_contents(FuzzedDataProvider& data) {
  Contents contents;
  contents.flavour = data.PickValueInArray({Flavour::mariadb, Flavour::mysql, Flavour::mysql_old});
  contents.skip_name_resolve = data.ConsumeBool();
  for (int left = data.ConsumeIntegralInRange(0, 12); left > 0; --left)
    contents.rows.push_back({.user = data.PickValueInArray({"", "app", "apq"}),
                             .host = data.ConsumeRandomLengthString(20),
                             .is_role = data.ConsumeIntegralInRange(0, 9) == 0,
                             .left_out = data.ConsumeIntegralInRange(0, 9) == 0});
  for (int left = data.ConsumeIntegralInRange(0, 4); left > 0; --left)
    contents.grant_hosts.push_back(
        {data.PickValueInArray({"", "app", "apq"}), data.ConsumeRandomLengthString(20)});
  return contents;
}

bool could_be_found(std::string_view name) {
  return !looks_like_address(name) && name.find_first_of(":/") == std::string_view::npos &&
         !like("localhost", name, Case::fold);
}

void compare(FuzzedDataProvider& data) {
  const auto contents = random_contents(data);
  const Peer client{data.PickValueInArray({"", "10.1.2.3", "127.0.0.1", "::1", "fe80::1"}),
                    data.ConsumeRandomLengthString(12)};
  const auto bytes = encode(contents);
  const auto table = Table::open(bytes);
  if (!table) std::abort();
  const auto quick = find(*table, "app", client), plain = try_every_row(*table, "app", client);
  if (quick.has_value() != plain.has_value()) std::abort();
  if (quick && (quick->user != plain->user || quick->host != plain->host)) std::abort();
  if (host_allowed(*table, client) != any_row_allows(*table, client)) std::abort();
  for (const Peer& other : kPeers) {
    if (same_grants(*table, "app", client, other) == grants_differ(*table, client, other))
      std::abort();
  }
  // Who needs no name gets the same with any that a server may find.
  if (!names_matter(*table, "app") && !client.ip.empty() && could_be_found(client.name)) {
    const auto unnamed = find(*table, "app", {client.ip, ""});
    if (unnamed.has_value() != quick.has_value()) std::abort();
    if (quick && unnamed->host != quick->host) std::abort();
  }
  for (const Row& row : contents.rows)
    for (const Case letters : {Case::exact, Case::fold}) {
      // The definition takes exponential time: a few wildcards are enough.
      const auto host = std::string_view(row.host).substr(0, 8);
      if (like(host, client.name, letters) != plain_like(host, client.name, letters)) std::abort();
    }
}

}  // namespace
}  // namespace sluice::accounts

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice::accounts;
  FuzzedDataProvider input(data, size);
  switch (input.ConsumeIntegralInRange(0, 2)) {
    case 0:
      read_everything(input.ConsumeRemainingBytes<std::byte>());
      break;
    case 1:
      read_everything(damaged_table(input));
      break;
    default:
      compare(input);
  }
  return 0;
}
