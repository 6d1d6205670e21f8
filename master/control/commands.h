// What each control command does. A handler gets data and gives data; rendering is sluicectl's.
#pragma once

#include <optional>

#include "common/ipc/messages.h"
#include "master/master.h"

namespace sluice::master {

/// A command being carried out.
struct Invocation {
  Master& master;
  ControlServer& server;
  uint64_t request;
  const std::vector<std::string>& arguments;
};

/// The reply, or nothing if it comes later (ControlServer::reply()).
using Handler = std::optional<ipc::ControlReply> (*)(const Invocation&);

/// The handler of a command; null if there is none.
Handler handler_of(std::string_view words);

}  // namespace sluice::master
