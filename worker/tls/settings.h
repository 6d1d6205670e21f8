// What all connections of one Context share: OpenSSL's SSL_CTX, made once from the configuration.
#pragma once

#include <memory>
#include <string>

#include "common/config/config.h"
#include "common/ipc/messages.h"
#include "worker/tls/openssl.h"
#include "worker/tls/records.h"
#include "worker/tls/tickets.h"

namespace sluice::tls {

struct Settings {
  Role role{};
  TicketKeys tickets;  ///< before `context`, which points to them
  std::string host;    ///< the server's name, asked for by SNI; empty for an address
  Session session;     ///< the last good one with this server, offered at the next handshake
  Bytes fingerprint;   ///< of our own certificate; empty if there is none
  SslContext context;
};

Result<std::shared_ptr<Settings>> settings_towards_clients(const config::Service& service,
                                                           const ipc::KeyMaterial& keys);
Result<std::shared_ptr<Settings>> settings_towards_server(const config::Server& server);

}  // namespace sluice::tls
