// Names of addresses as the monitor found them, for accounts whose host is a name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace sluice::worker {

/// What the worker was told, and what it has asked for. An address that has no name is known, too.
class Names {
 public:
  /// The name, empty if the address has none; nothing while that is not known (any more).
  std::optional<std::string_view> find(std::string_view ip, int64_t now_ns) const;
  void learn(std::string ip, std::string name, int64_t until_ns);

 private:
  static constexpr std::size_t kMost = 10'000;
  struct Known {
    std::string name;
    int64_t until_ns = 0;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  std::unordered_map<std::string, Known, Hash, std::equal_to<>> known_;
};

}  // namespace sluice::worker
