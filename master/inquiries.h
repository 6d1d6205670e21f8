// What one worker has asked the others, and who of them has not answered yet. An answer counts
// once, and only if its sender was asked: a worker that was taken over can't speak for others.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "common/base/clock.h"
#include "common/ipc/codec.h"

namespace sluice::master {

class Inquiries {
 public:
  static constexpr std::size_t kMostOfOne = 64;  ///< of one worker; the oldest is forgotten
  static constexpr int64_t kLastNs = 10 * kSecondNs;

  /// By whom and for whom, and of which round.
  struct Key {
    uint32_t worker = 0;
    uint64_t session = 0;
    uint32_t round = 0;
    static auto fields(auto& m) {
      return std::tuple(ipc::tag<1>(m.worker), ipc::tag<2>(m.session), ipc::tag<3>(m.round));
    }
    bool operator==(const Key&) const = default;
  };

  struct Inquiry {
    Key key;
    std::vector<uint32_t> awaited;
    int64_t until_ns = 0;
    static auto fields(auto& m) {
      return std::tuple(ipc::tag<1>(m.key), ipc::tag<2>(m.awaited), ipc::tag<3>(m.until_ns));
    }
  };

  /// `asked`: numbers of workers.
  void begin(const Key& key, std::vector<uint32_t> asked, int64_t now_ns) {
    std::erase_if(open_,
                  [&](const Inquiry& one) { return one.key == key || one.until_ns < now_ns; });
    const auto of_same = [&](const Inquiry& one) { return one.key.worker == key.worker; };
    if (std::ranges::count_if(open_, of_same) >= static_cast<std::ptrdiff_t>(kMostOfOne))
      open_.erase(std::ranges::find_if(open_, of_same));
    open_.push_back({key, std::move(asked), now_ns + kLastNs});
  }

  /// Whether this answer ends the inquiry: it says what was asked, or nobody is left who could.
  bool answered(const Key& key, uint32_t by, bool known) {
    const auto inquiry = std::ranges::find(open_, key, &Inquiry::key);
    if (inquiry == open_.end() || std::erase(inquiry->awaited, by) == 0) return false;
    if (!known && !inquiry->awaited.empty()) return false;
    open_.erase(inquiry);
    return true;
  }

  std::size_t size() const { return open_.size(); }
  /// Of the next master, which goes on with them.
  const std::vector<Inquiry>& export_() const { return open_; }
  void import_(std::vector<Inquiry> open) { open_ = std::move(open); }

 private:
  std::vector<Inquiry> open_;  ///< oldest first; a handful
};

}  // namespace sluice::master
