// The handlers of the control commands, by the name of their command. Each gets its checked
// arguments and returns a reply, or nothing if that comes later.
#pragma once

#include "master/control/commands.h"

namespace sluice::master {

std::optional<ipc::ControlReply> status(const Invocation& in);
std::optional<ipc::ControlReply> list_clusters(const Invocation& in);
std::optional<ipc::ControlReply> list_servers(const Invocation& in);
std::optional<ipc::ControlReply> list_services(const Invocation& in);
std::optional<ipc::ControlReply> list_listeners(const Invocation& in);
std::optional<ipc::ControlReply> list_workers(const Invocation& in);
std::optional<ipc::ControlReply> list_sessions(const Invocation& in);
std::optional<ipc::ControlReply> list_accounts(const Invocation& in);
std::optional<ipc::ControlReply> show_cluster(const Invocation& in);
std::optional<ipc::ControlReply> show_server(const Invocation& in);
std::optional<ipc::ControlReply> show_service(const Invocation& in);
std::optional<ipc::ControlReply> show_session(const Invocation& in);
std::optional<ipc::ControlReply> show_worker(const Invocation& in);
std::optional<ipc::ControlReply> set_server(const Invocation& in);
std::optional<ipc::ControlReply> kill_session(const Invocation& in);
std::optional<ipc::ControlReply> reload(const Invocation& in);
std::optional<ipc::ControlReply> reload_accounts(const Invocation& in);
std::optional<ipc::ControlReply> replace_workers(const Invocation& in);
std::optional<ipc::ControlReply> upgrade(const Invocation& in);
std::optional<ipc::ControlReply> explain_login(const Invocation& in);
std::optional<ipc::ControlReply> explain_sql(const Invocation& in);
std::optional<ipc::ControlReply> log_level(const Invocation& in);
std::optional<ipc::ControlReply> log_rotate(const Invocation& in);
std::optional<ipc::ControlReply> version(const Invocation& in);

}  // namespace sluice::master
