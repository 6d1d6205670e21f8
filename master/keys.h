// The keys that all workers share, in the master: kept for its lifetime, so that a reload changes
// none of them but the ticket key, once a day.
#pragma once

#include "master/config/keys.h"

namespace sluice::master {

struct Keys {
  ipc::KeyMaterial material;
  int64_t ticket_made_ns = 0;  ///< CLOCK_MONOTONIC
};

/// What the child that reads the configuration is to make, as far as it is needed.
config::KeyKinds wanted(const Keys& keys, int64_t now_ns);
/// The same as arguments of the child.
std::vector<std::string> arguments(const config::KeyKinds& wanted);

/// With what was made in place of what there was. The ticket key that is replaced stays as the one
/// before: clients hold tickets of it.
Keys joined(Keys keys, ipc::KeyMaterial made, int64_t now_ns);

}  // namespace sluice::master
