// What only the workers' library of TLS can say: which ciphers a list gives, and which certificates
// are too weak for it. Asked before a configuration is used, so that no worker has to find out.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "common/config/config.h"
#include "master/config/refusal.h"

namespace sluice::config {

/// Why the TLS of a service or a server can't be used, and by which of its keys.
struct TlsRefusal {
  std::string_view key;  ///< "ciphers", "certificate"
  Refusal why;
};

/// Judges settings whose PEM files have been read and parsed already. Nothing: they are good.
using JudgeTls = std::function<std::optional<TlsRefusal>(const Tls&)>;

/// With OpenSSL's libssl, in the way of worker/tls. The library is loaded when it is needed first,
/// which is in the throw-away child or for `--check`: the master itself neither links nor loads it.
std::optional<TlsRefusal> judge_with_libssl(const Tls& tls);

}  // namespace sluice::config
