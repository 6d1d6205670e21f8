// TLS of services and servers: what needs more than one key to be judged, and the PEM files, which
// are read here into the configuration, so that no other process has to open them.
#pragma once

#include "master/config/parse.h"
#include "master/config/problems.h"

namespace sluice::config {

/// Fills the *_pem members and Tls::not_after_s where TLS is on; where it is off, no file is
/// opened. What only libssl can judge (ciphers) is left to the worker.
void read_tls(Config& config, const Inputs& inputs, const Places& places, Problems& problems);

}  // namespace sluice::config
