// "explain login": which account a login gets, why, and whether it gets the same through sluice. A
// pure function of what is known; names were looked up before.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "common/accounts/table.h"
#include "common/ipc/messages.h"

namespace sluice::monitor {

/// Names that were looked up, by address; empty: it has none.
using Names = std::map<std::string, std::string, std::less<>>;

/// How logins reach the server that they are for.
struct WayToServer {
  std::string server;                      ///< its name; empty: there is no primary
  std::optional<std::string> outgoing_ip;  ///< observation.h
  bool proxy_protocol = false;             ///< it is told the client's own address
  const config::Server* configured = nullptr;
};

/// Who asks to log in.
struct Login {
  std::string user;
  std::string host;  ///< an IP address, "localhost" for a Unix socket, or a host's name
};

/// Columns of the table that explain_login() adds to.
ipc::Table explain_login_table();

/// Adds a row for each account of this user and each anonymous one, in the order in which the
/// server tries them: whether the client gets it, whether the server would pick it for sluice's
/// address, and why. Then one that says what comes of the login through sluice.
/// Errors: the host is neither an address nor a name that the server could know.
Result<> explain_login(const std::string& cluster, const accounts::Table& table, const Login& login,
                       const WayToServer& way, const Names& names, uint64_t now_s, ipc::Table& out);

}  // namespace sluice::monitor
