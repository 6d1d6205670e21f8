#include "master/control/commands.h"

#include <algorithm>

#include "common/control/commands.h"
#include "master/control/handlers.h"

namespace sluice::master {
namespace {

struct Bound {
  std::string_view words;
  Handler handler;
};
constexpr Bound kHandlers[] = {
    {"status", status},
    {"list clusters", list_clusters},
    {"list servers", list_servers},
    {"list services", list_services},
    {"list listeners", list_listeners},
    {"list workers", list_workers},
    {"list sessions", list_sessions},
    {"list accounts", list_accounts},
    {"show cluster", show_cluster},
    {"show server", show_server},
    {"show service", show_service},
    {"show session", show_session},
    {"show worker", show_worker},
    {"set server", set_server},
    {"kill session", kill_session},
    {"reload", reload},
    {"reload accounts", reload_accounts},
    {"replace workers", replace_workers},
    {"upgrade", upgrade},
    {"explain login", explain_login},
    {"explain sql", explain_sql},
    {"log level", log_level},
    {"log rotate", log_rotate},
    {"version", version},
};
/// Each handler has its row, and each row that the master serves has its handler.
constexpr bool all_joined() {
  for (const auto& bound : kHandlers)
    if (!std::ranges::any_of(control::kCommands,
                             [&](const auto& row) { return row.words == bound.words; }))
      return false;
  for (const auto& command : control::kCommands) {
    bool found = command.runs == control::Runs::in_client;
    for (const auto& bound : kHandlers) found |= bound.words == command.words;
    if (!found) return false;
  }
  return true;
}
static_assert(all_joined(), "common/control/commands.h and the handlers here differ");

}  // namespace

Handler handler_of(std::string_view words) {
  for (const auto& bound : kHandlers)
    if (bound.words == words) return bound.handler;
  return nullptr;
}

}  // namespace sluice::master
