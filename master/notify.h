// systemd's notification protocol, sd_notify(3): one datagram to $NOTIFY_SOCKET.
#pragma once

#include <string_view>

namespace sluice::master {

/// Sends "READY=1" and the like; does nothing where nobody listens.
void notify_service_manager(std::string_view state);

}  // namespace sluice::master
