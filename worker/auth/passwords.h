// Passwords that clients have shown, and their servers have accepted, for sessions that log in to
// further servers as the same account (man/decisions/0006). A login by caching_sha2_password shows
// its password only where the server has forgotten it; the next one is known again by its answer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/accounts/table.h"
#include "common/base/secret.h"

namespace sluice::worker {

/// Of one cluster, in one worker. Bounded: the one that was used least lately goes first.
class Passwords {
 public:
  static constexpr std::size_t kMost = 256;
  /// A password that was good this long before its account was seen to change may be the new one.
  static constexpr int64_t kFreshNs = 120'000'000'000;

  /// The password of `user` that gives this answer to this scramble; null if none is known.
  const Secret* find(std::string_view user, ByteSpan scramble, ByteSpan response) const;
  /// A server has accepted it at that time.
  void remember(std::string_view user, const Secret& password, int64_t good_ns);
  /// Forgets the passwords of users whose accounts are not what they were.
  void accounts_loaded(const accounts::Table& table, int64_t now_ns);
  std::size_t size() const { return entries_.size(); }

  struct Entry {
    std::string user;
    Secret password;
    std::size_t accounts = 0;  ///< a hash of what the tables said of the user; 0: not looked up yet
    int64_t good_ns = 0;       ///< when a server accepted it last
  };
  const std::vector<Entry>& all() const { return entries_; }

 private:
  std::vector<Entry> entries_;
};

}  // namespace sluice::worker
