// Two layers joined without a network.
#pragma once

#include <memory>
#include <string>

#include "worker/tls/layer.h"

namespace sluice::tls {

/// One end of a connection: what it has received, what it has yet to send, and how it failed.
struct End {
  std::unique_ptr<Layer> layer;
  Bytes received;  ///< plain
  Bytes unsent;    ///< for the other end
  std::string error;

  void take(ByteSpan cipher) {
    if (!error.empty()) return;
    if (auto taken = layer->receive(cipher, received, unsent); !taken)
      error = taken.error().message;
  }
  void say(std::string_view plain) {
    if (auto sent = layer->send(as_bytes(plain), unsent); !sent) error = sent.error().message;
  }
  void close() { layer->close(unsent); }
  std::string heard() const { return std::string(as_text(received)); }
};

struct Connection {
  Connection(std::unique_ptr<Layer> client_layer, std::unique_ptr<Layer> server_layer,
             std::size_t step_size = SIZE_MAX)
      : client{std::move(client_layer)}, server{std::move(server_layer)}, step(step_size) {}

  /// The handshake, and what comes with it.
  Connection& begin() {
    client.take({});
    return carry();
  }
  /// Carries bytes both ways, `step` at a time, until neither end has more to say.
  Connection& carry() {
    while (!client.unsent.empty() || !server.unsent.empty()) {
      pass(client, server);
      pass(server, client);
    }
    return *this;
  }
  bool established() const { return client.layer->established() && server.layer->established(); }
  /// What went wrong, for messages of failed tests.
  std::string errors() const { return "client: " + client.error + ", server: " + server.error; }

  End client, server;

 private:
  void pass(End& from, End& to) const {
    const Bytes bytes = std::exchange(from.unsent, {});
    for (ByteSpan rest = bytes; !rest.empty();) {
      const auto n = std::min(step, rest.size());
      to.take(rest.first(n));
      rest = rest.subspan(n);
    }
  }
  std::size_t step;
};

}  // namespace sluice::tls
