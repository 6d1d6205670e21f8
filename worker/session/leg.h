// One connection to a server, as a session's state has it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/base/bytes.h"
#include "common/base/enum_names.h"
#include "common/ipc/codec.h"
#include "worker/tls/layer.h"

namespace sluice::worker {

/// The ends of a session's connections. `server` is the one that the client logged in to, whose
/// connection id it knows; `reader` is a replica beside it, in sessions that are split only.
enum class Side : uint8_t { client, server, reader };
inline constexpr Side kSides[] = {Side::client, Side::server, Side::reader};
constexpr Side other(Side side) {
  return side == Side::client ? Side::server : Side::client;
}

struct ServerLeg {
  std::string server;                ///< by name; empty while there is none
  uint32_t connection_id = 0;        ///< the server's own
  std::unique_ptr<tls::Info> tls{};  ///< where it is encrypted
  Bytes unsent;                      ///< as it goes into the socket
  static auto fields(auto& m) {
    using ipc::tag;
    return std::tuple(tag<1>(m.server), tag<2>(m.connection_id), tag<3>(m.tls), tag<4>(m.unsent));
  }
};

}  // namespace sluice::worker

namespace sluice {
template <>
inline constexpr auto kEnumNames<worker::Side> = names("client", "server", "reader");
}  // namespace sluice
