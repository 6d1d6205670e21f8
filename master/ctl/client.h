// sluicectl's end of the control socket: one connection, one question, one reply.
#pragma once

#include <chrono>
#include <string>

#include "common/base/result.h"
#include "common/ipc/messages.h"

namespace sluice::ctl {

/// Connects to the control socket, greets, asks and waits; `patience` covers all of it. A refusal
/// by the master is a reply with its `error` set. Errors are sentences for the operator:
/// Errc::unavailable: nobody listens, or no reply in time; Errc::denied: no right to connect;
/// Errc::ipc_protocol: what listens is not a sluiced that this sluicectl understands.
Result<ipc::ControlReply> ask(const std::string& socket_path, const ipc::ControlRequest& request,
                              std::chrono::milliseconds patience);

}  // namespace sluice::ctl
