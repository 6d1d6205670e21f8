// What differs between two configurations, for people: `reload --dry-run`, the log of a reload.
#pragma once

#include <string>
#include <vector>

#include "common/config/config.h"

namespace sluice::config {

struct Change {
  enum class Kind : uint8_t { added, removed, changed };
  Kind kind;
  std::string what;    ///< "service", "cluster", "server", "listener", "setting"
  std::string name;    ///< "shop", "shop/db1", "shop 127.0.0.1:3306", "sluice.workers"
  std::string detail;  ///< "target: primary -> replica"; never a secret ("password changed")
  bool operator==(const Change&) const = default;
};

/// One Change for each key that differs, for each file of TLS whose content does, and for each
/// thing that appeared or went. Empty if and only if both are equal.
std::vector<Change> diff(const Config& before, const Config& after);

}  // namespace sluice::config

namespace sluice {
template <>
inline constexpr auto kEnumNames<config::Change::Kind> = names("added", "removed", "changed");
}  // namespace sluice
