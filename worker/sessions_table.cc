#include "worker/sessions_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/clock.h"
#include "worker/split/holdings.h"
#include "worker/split/split.h"
#include "worker/sql/explain.h"

namespace sluice::worker {
namespace {

std::string activity(const SessionState& s) {
  if (s.phase != Phase::relaying) return std::string(enum_name(s.phase));
  return s.conversation.at_boundary() ? "idle" : "in a command";
}

/// "TLSv1.3 TLS_AES_256_GCM_SHA384"; empty where the leg is not encrypted.
std::string tls_text(const std::unique_ptr<tls::Info>& tls) {
  if (!tls) return {};
  return fmt::format("{} {}{}", tls->version, tls->cipher, tls->resumed ? " (resumed)" : "");
}

/// The server connections of a session that shares them with others.
std::string holdings(const SessionState& s) {
  if (!s.split) return {};
  using split::Step;
  const auto told = [](Step step, std::string_view name) {
    if (step == Step::none) return std::string();
    return fmt::format("{}{}", step == Step::queued ? "waits for " : "", name);
  };
  const auto home = told(s.split->home_link.step, "home");
  const auto reader = told(s.split->reader_link.step, "reader");
  if (home.empty() && reader.empty()) return "none";
  return home + (home.empty() || reader.empty() ? "" : ", ") + reader;
}

/// What keeps the reads of a split session at its primary, or the session with it.
std::string why_kept(const split::Split& split) {
  if (const auto pinned = split::why_pinned(split); !pinned.empty()) return std::string(pinned);
  if (auto why = split::why_not_known(split.credentials); !why.empty()) return why;
  if (!split.kept.tied.empty()) return split.kept.tied;
  const auto* holding = split::first_holding(split);
  return holding != nullptr ? std::string(split::in_words(*holding)) : split.reader_failure;
}

}  // namespace

ipc::Table explanation_table(std::string_view statement) {
  ipc::Table table{.columns = {{"explanation", ipc::Kind::text}}};
  const auto text = sql::explain(statement, {});
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    table.rows.push_back({{text.substr(at, end - at)}});
    at = end + 1;
  }
  return table;
}

std::string session_name(uint64_t id) {
  return fmt::format("{}-{}", id >> 32, id & UINT32_MAX);
}

std::string client_name(const SessionState& s) {
  if (s.client_ip.empty()) return "unix";
  return config::Endpoint{s.client_ip, s.client_port, {}}.text();
}

ipc::Table sessions_table() {
  using ipc::Kind;
  ipc::Table table;
  table.columns = {{"session", Kind::text},
                   {"service", Kind::text},
                   {"client", Kind::text},
                   {"user", Kind::text},
                   {"database", Kind::text},
                   {"server", Kind::text},
                   {"state", Kind::text},
                   {"age_s", Kind::number},
                   {"idle_s", Kind::number},
                   {"commands", Kind::number},
                   {"bytes_in", Kind::number},
                   {"bytes_out", Kind::number},
                   {"server_connection_id", Kind::number},
                   {"client_tls", Kind::text},
                   {"client_compression", Kind::text},
                   {"server_tls", Kind::text},
                   {"reader", Kind::text},
                   {"reads", Kind::number},
                   {"kept_because", Kind::text},
                   {"holds", Kind::text},
                   {"not_movable", Kind::text}};
  return table;
}

ipc::Row session_row(const SessionState& s, std::string_view stays, int64_t now_ns) {
  return {{session_name(s.id),
           s.service,
           client_name(s),
           s.user,
           s.database,
           s.home.server,
           activity(s),
           fmt::to_string((now_ns - s.accepted_ns) / kSecondNs),
           fmt::to_string((now_ns - s.active_ns) / kSecondNs),
           fmt::to_string(s.conversation.commands),
           fmt::to_string(s.bytes_in),
           fmt::to_string(s.bytes_out),
           fmt::to_string(s.home.connection_id),
           tls_text(s.client_tls),
           s.frames ? "zlib" : "",
           tls_text(s.home.tls),
           s.split ? s.split->reader.server : "",
           fmt::to_string(s.split ? s.split->reads : 0),
           s.split ? why_kept(*s.split) : "",
           holdings(s),
           std::string(stays)}};
}

}  // namespace sluice::worker
