// The TLS settings of one service (where sluice is the server) or of one database server (where it
// is the client), ready to begin connections. Everything comes from the configuration as text, so
// nothing is opened.
#pragma once

#include <memory>

#include "common/config/config.h"
#include "common/ipc/messages.h"
#include "worker/tls/layer.h"

namespace sluice::tls {

struct Settings;

/// Does not change: for other keys or another configuration there is another Context, and
/// connections that began with this one go on. Copies share one state. One thread.
class Context {
 public:
  /// Towards the clients of a service. Without a certificate of its own it shows that of `keys`.
  /// With `ca`, a client is asked for a certificate; it may have none, but one that it shows must
  /// verify. Clients resume sessions with any worker that has the same ticket keys. An error
  /// says what of the configuration can't be used.
  static Result<Context> towards_clients(const config::Service& service,
                                         const ipc::KeyMaterial& keys);

  /// Towards one database server. The last good session with it is offered at each new connection;
  /// it lives as long as this Context, so never under other rules than those it was made under.
  static Result<Context> towards_server(const config::Server& server);

  /// A new connection. A client's handshake begins with a receive() of nothing.
  Result<std::unique_ptr<Layer>> start() const;

  /// SHA-256 of the certificate that is shown (DER), empty if none is: what MariaDB 11.4 and its
  /// clients prove to each other where there is no `ca` (MDEV-31855).
  const Bytes& fingerprint() const;

 private:
  explicit Context(std::shared_ptr<Settings> settings) : settings_(std::move(settings)) {}

  std::shared_ptr<Settings> settings_;
};

}  // namespace sluice::tls
