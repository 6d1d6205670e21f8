#include "worker/auth/passwords.h"

#include <algorithm>
#include <functional>

#include "common/accounts/match.h"
#include "worker/auth/sha2.h"

namespace sluice::worker {
namespace {

std::size_t mixed(std::size_t seed, std::string_view text) {
  return (seed ^ std::hash<std::string_view>()(text)) * 0x9E3779B97F4A7C15U;
}

/// What decides whether a user's password is still right; never 0.
std::size_t hash_of(const accounts::Table& table, std::string_view user) {
  std::size_t sum = 1;
  for (auto i = accounts::first_row_of(table, user); i < table.size(); ++i) {
    const auto account = table.at(i);
    if (!account || account->user != user) break;
    sum = mixed(sum, account->host) ^ static_cast<std::size_t>(account->locked);
    for (const auto& proof : account->proofs) sum = mixed(mixed(sum, proof.plugin), proof.text);
  }
  return sum | 1U;
}

}  // namespace

const Secret* Passwords::find(std::string_view user, ByteSpan scramble, ByteSpan response) const {
  const auto found = std::ranges::find_if(entries_, [&](const Entry& entry) {
    return entry.user == user && sha2_proves(entry.password, scramble, response);
  });
  return found == entries_.end() ? nullptr : &found->password;
}

void Passwords::remember(std::string_view user, const Secret& password, int64_t good_ns) {
  const auto known = std::ranges::find_if(entries_, [&](const Entry& entry) {
    return entry.user == user && entry.password == password;
  });
  if (known != entries_.end()) {
    known->good_ns = std::max(known->good_ns, good_ns);
    return;
  }
  if (entries_.size() == kMost)
    entries_.erase(std::ranges::min_element(entries_, {}, &Entry::good_ns));
  entries_.push_back({std::string(user), password, 0, good_ns});
}

void Passwords::accounts_loaded(const accounts::Table& table, int64_t now_ns) {
  if (entries_.empty()) return;
  std::erase_if(entries_, [&](Entry& entry) {
    const auto before = std::exchange(entry.accounts, hash_of(table, entry.user));
    return before != 0 && before != entry.accounts && now_ns - entry.good_ns > kFreshNs;
  });
}

}  // namespace sluice::worker
