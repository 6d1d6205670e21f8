#include "worker/auth/names.h"

namespace sluice::worker {

std::optional<std::string_view> Names::find(std::string_view ip, int64_t now_ns) const {
  const auto found = known_.find(ip);
  if (found == known_.end() || found->second.until_ns < now_ns) return std::nullopt;
  return found->second.name;
}

void Names::learn(std::string ip, std::string name, int64_t until_ns) {
  if (known_.size() >= kMost) known_.clear();  // asked for again by whoever needs them
  known_.insert_or_assign(std::move(ip), Known{std::move(name), until_ns});
}

}  // namespace sluice::worker
