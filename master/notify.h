// systemd's notification protocol, sd_notify(3): one datagram to $NOTIFY_SOCKET.
#pragma once

#include <string_view>

namespace sluice::master {

/// Sends "READY=1" and the like; does nothing where nobody listens.
void notify_service_manager(std::string_view state);

/// Whether it waits for "WATCHDOG=1" of this process: $WATCHDOG_USEC is set, and $WATCHDOG_PID, if
/// it is, is ours (sd_watchdog_enabled(3)).
bool is_watched();

}  // namespace sluice::master
