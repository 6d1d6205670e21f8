// The control commands: one table for both ends of the control socket. sluicectl finds commands,
// checks their arguments and completes words from it; the master joins its handlers to the rows by
// their words (master/control/). Nothing here does I/O.
//
// The usage of arguments is a small language: WORD is a value, a|b|c one of these, --name an
// option, [x] may be left out. NAME/NAME is two names with a slash; PID is a number, ID a session
// as `list sessions` shows it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/enum_names.h"
#include "common/base/result.h"

namespace sluice::control {

/// What a command's user must be allowed to do.
enum class Access : uint8_t {
  view,     ///< look
  operate,  ///< change what runs: servers in and out of use, sessions, accounts, the log
  admin,    ///< change what is configured
};

enum class Runs : uint8_t {
  in_master,  ///< is sent as a ControlRequest; the master has a handler for it
  in_client,  ///< sluicectl does it alone, so that it works without a daemon
};

struct Command {
  std::string_view words;  ///< as typed, and ControlRequest::command
  std::string_view usage;  ///< of its arguments
  std::string_view help;   ///< one line
  Access access = Access::view;
  Runs runs = Runs::in_master;
  int patience_s = 60;  ///< how long sluicectl waits for the reply
};

inline constexpr int kReloadPatienceS = 600;  // workers start, grant tables load

// clang-format off
inline constexpr Command kCommands[] = {
    {"status",          "",             "how sluice is, in one page"},
    {"list clusters",   "",             "clusters, their topology and primary"},
    {"list servers",    "",             "servers with role, health and load"},
    {"list services",   "",             "services with router, cluster and sessions"},
    {"list listeners",  "",             "addresses and sockets that accept clients"},
    {"list workers",    "",             "worker processes and their sessions"},
    {"list sessions",   "",             "client sessions"},
    {"list accounts",   "[CLUSTER]",    "accounts of the servers; why one can't be used"},
    {"show cluster",    "NAME",         "all about a cluster"},
    {"show server",     "CLUSTER/NAME", "all about a server, with the reasons of its state"},
    {"show service",    "NAME",         "all about a service"},
    {"show session",    "ID",           "all about a client session"},
    {"show worker",     "PID",          "all about a worker process"},
    {"set server",      "CLUSTER/NAME maintenance|draining|clear",
                                        "take a server out of use, and back", Access::operate},
    {"kill session",    "ID",           "end a client session", Access::operate},
    {"reload",          "[--dry-run]",  "read the configuration again, wait for the outcome",
                                        Access::admin, Runs::in_master, kReloadPatienceS},
    {"reload accounts", "[CLUSTER]",    "load the grant tables now",
                                        Access::operate, Runs::in_master, kReloadPatienceS},
    {"replace workers", "",             "let new worker processes take over, for memory's sake",
                                        Access::operate, Runs::in_master, kReloadPatienceS},
    {"upgrade",         "",             "go over to the programs that are on disk now",
                                        Access::admin, Runs::in_master, kReloadPatienceS},
    {"explain login",   "USER HOST [CLUSTER]",
                                        "which account a login would get, and why"},
    {"explain sql",     "SERVICE STATEMENT",
                                        "where a statement would run, and why"},
    {"log level",       "error|warning|notice|info|debug",
                                        "how much is logged, until the next reload",
                                        Access::operate},
    {"log rotate",      "",             "open the log file anew", Access::operate},
    {"version",         "",             "release of the running daemon"},
    {"encrypt",         "",             "encrypt a password for the configuration",
                                        Access::admin, Runs::in_client},
    {"help",            "[COMMAND]",    "the commands", Access::view, Runs::in_client},
};
// clang-format on

/// The row with exactly these words; null if there is none. constexpr, so that the master can prove
/// at compile time that each of its handlers belongs to a row.
constexpr const Command* find_command(std::string_view words) {
  for (const Command& command : kCommands)
    if (command.words == words) return &command;
  return nullptr;
}

/// "set server CLUSTER/NAME maintenance|draining|clear"
std::string usage_line(const Command& command);

/// Whether the arguments fit the command's usage. The error says which one does not and why. Both
/// ends ask this: the master trusts no client.
Result<> check_arguments(const Command& command, std::span<const std::string> arguments);

/// A command with its checked arguments.
struct Invocation {
  const Command* command = nullptr;  ///< a row of kCommands
  std::vector<std::string> arguments;
};

/// What the words of a command line or of a line at the prompt mean. The longest row wins ("reload
/// accounts" over "reload"); "--" ends options. Errors are for people: the nearest command, or the
/// usage line.
Result<Invocation> understand(std::span<const std::string> words);

/// The words of a line: separated by white space; '...' is taken as it is, in "..." and outside of
/// quotes a backslash takes the next character as it is. Error: a quote that is not closed.
Result<std::vector<std::string>> split_words(std::string_view line);

/// What may stand after the words `before` and begins with `partial`, each once, in table order:
/// words of commands, choices, options.
std::vector<std::string> completions(std::span<const std::string> before, std::string_view partial);

/// Every command with its usage and help, aligned; only those that begin with `words` if any do.
std::string help_text(std::string_view words = {});

}  // namespace sluice::control

namespace sluice {
template <>
inline constexpr auto kEnumNames<control::Access> = names("view", "operate", "admin");
}  // namespace sluice
