// What a session has set, as the server tells it in its OK packets, and how another server is
// brought to the same. MySQL manual, "OK_Packet", session state information; MariaDB sends the
// same.
#include <fmt/format.h>

#include <algorithm>

#include "common/mysql/packets.h"
#include "common/stats/last_writes.h"
#include "worker/split/pins.h"
#include "worker/split/steps.h"
#include "worker/sql/assignments.h"
#include "worker/sql/characters.h"
#include "worker/sql/charset.h"

namespace sluice::worker::split {
namespace {

/// Kinds of news: MariaDB enum_session_tracker, MySQL enum_session_state_type.
enum News : uint8_t { kVariable = 0, kSchema = 1, kChanged = 2, kGtids = 3 };

/// Variables that are of one connection: its own business, or that of the statement to come.
constexpr std::string_view kNotCarried[] = {
    "autocommit",     "character_set_connection", "gtid_seq_no",      "insert_id",
    "last_insert_id", "pseudo_slave_mode",        "pseudo_thread_id", "rand_seed1",
    "rand_seed2",     "transaction_read_only",    "tx_read_only",
};

/// The variables that say what a server tells.
constexpr std::string_view kTracking = "session_track_";

constexpr std::string_view kResults = "character_set_results";

/// Values that servers tell in a form which they do not take.
struct Written {
  std::string_view name, told, written;
};
constexpr Written kWritten[] = {
    {"character_set_results", "", "NULL"},  {"default_tmp_storage_engine", "", "NULL"},
    {"enforce_storage_engine", "", "NULL"}, {"innodb_ft_user_stopword_table", "", "NULL"},
    {"innodb_tmpdir", "", "NULL"},          {"system_versioning_asof", "DEFAULT", "DEFAULT"},
};

bool is_carried(std::string_view name) {
  return std::ranges::find(kNotCarried, name) == std::end(kNotCarried);
}

bool has_word(std::string_view list, std::string_view word) {
  for (std::size_t at = 0; at <= list.size();) {
    const auto end = std::min(list.find(',', at), list.size());
    if (list.substr(at, end - at) == word) return true;
    at = end + 1;
  }
  return false;
}

bool is_anything(std::string_view) {
  return true;
}
bool is_on(std::string_view value) {
  return value == "ON" || value == "1";
}
bool is_off(std::string_view value) {
  return value == "OFF" || value == "0";
}

/// Settings that keep a session with its primary, if they have such a value.
struct KeepsHome {
  std::string_view name;
  bool (*with)(std::string_view value);
  std::string_view why;
};
constexpr KeepsHome kKeepsHome[] = {
    // Whether it stands still or goes on is not told.
    {"timestamp", is_anything, "it has set the time"},
    {"rand_seed1", is_anything, "it has set the seed of RAND()"},
    {"rand_seed2", is_anything, "it has set the seed of RAND()"},
    {"profiling", is_on, "it wants its statements profiled"},
    {"optimizer_trace", [](auto value) { return has_word(value, "enabled=on"); },
     "it wants its statements traced"},
    // It is told in the time zone of the session, which can be set in the same statement.
    {"system_versioning_asof", [](auto value) { return value != "DEFAULT"; },
     "it reads what was there at another time"},
    {"pseudo_thread_id", is_anything, "it says that it is another connection"},
    {"pseudo_slave_mode", is_on, "it applies a binary log"},
    {"sql_log_bin", is_off, why::kNotReplicated},
    {"skip_replication", is_on, why::kNotReplicated},
};

/// What decides how statements are read, and where.
void heed(Split& split, std::string_view name, std::string_view value) {
  if (name == "sql_mode") {
    split.settings.mode.ansi_quotes = has_word(value, "ANSI_QUOTES");
    split.settings.mode.no_backslash_escapes = has_word(value, "NO_BACKSLASH_ESCAPES");
    split.settings.mode.ignore_space = has_word(value, "IGNORE_SPACE");
  } else if (name == "character_set_client") {
    split.settings.mode.charset = sql::charset_of(value);
  } else if (name == "tx_isolation" || name == "transaction_isolation") {
    split.kept.isolated = value == "SERIALIZABLE" || value == "READ-UNCOMMITTED";
  } else if (name == "sql_auto_is_null") {
    split.kept.auto_is_null = is_on(value);
  } else if (name == "insert_id" || name == "gtid_seq_no") {
    split.kept.tied = "it has set what its next statement gets";
  } else if (name == "tx_read_only" || name == "transaction_read_only") {
    if (is_on(value)) split.kept.tied = "its transactions only read";
  } else if (name == "character_set_connection") {  // with another collation, which is not told
    split.settings.collation_due |= split.home_link.errands.empty();  // what sluice sets is known
  }
  split.kept.profiled |= name == "profiling" && is_on(value);
  for (const auto& one : kKeepsHome)
    if (one.name == name && one.with(value)) split.kept.pinned = one.why;
}

void note_variable(Split& split, std::string_view name, std::string_view value) {
  if (name == "statement_id") return;  // MySQL counts its statements there, and nobody sets it
  split.now.told = true;
  if (std::ranges::find(split.now.passing, name) != split.now.passing.end()) return;
  constexpr std::size_t kMaxSettings = 64, kMaxValue = 4096;
  if (name.starts_with(kTracking)) {
    split.settings.tracked_by_client |= split.home_link.errands.empty();
    return;
  }
  if (name == "last_gtid") return note_write(split, value);
  heed(split, name, value);
  if (!is_carried(name)) return;
  auto& all = split.settings.list;
  const auto known = std::ranges::find(all, name, &Setting::name);
  if (known != all.end() && known->value == value) return;
  if (known != all.end()) all.erase(known);
  ++split.settings.version;
  if (all.size() == kMaxSettings || value.size() > kMaxValue ||
      value.find_first_of("'\\") != std::string_view::npos) {
    split.kept.pinned = "it has set more than can be carried to a replica";
    return;
  }
  all.push_back({std::string(name), std::string(value), split.settings.version});
}

/// The parts of an OK packet with news.
struct Told {
  std::size_t status_at = 0, news_at = 0;
  ByteSpan news;
};
Parsed<Told> parse_told(ByteSpan packet) {
  Told out;
  ByteReader in(packet.subspan(mysql::kHeaderSize + 1));
  const auto offset = mysql::kHeaderSize + 1;
  SLUICE_TRY(in.lenenc("affected_rows"));
  SLUICE_TRY(in.lenenc("last_insert_id"));
  out.status_at = offset + in.at();
  SLUICE_TRY(in.bytes(4, "status, warnings"));
  out.news_at = offset + in.at();
  if (in.done()) return out;
  SLUICE_TRY(in.lenenc_text("info"));
  out.news_at = offset + in.at();
  if (!in.done()) out.news = as_bytes(SLUICE_TRY(in.lenenc_text("session_state")));
  return out;
}

Parsed<> note_one(Split& split, uint8_t kind, ByteSpan data) {
  ByteReader in(data);
  switch (kind) {
    case kVariable:
      while (!in.done()) {
        const auto name = SLUICE_TRY(in.lenenc_text("name"));
        note_variable(split, name, SLUICE_TRY(in.lenenc_text("value")));
      }
      return {};
    case kSchema: {
      const auto schema = SLUICE_TRY(in.lenenc_text("schema"));
      if (split.settings.database == schema) return {};
      split.settings.database = schema;
      ++split.settings.database_version;
      return {};
    }
    case kChanged:
      split.now.changed = true;
      return {};
    case kGtids: {  // one way of encoding them so far: as text
      SLUICE_TRY(in.fixed<uint8_t>("encoding"));
      note_write(split, SLUICE_TRY(in.lenenc_text("gtids")));
      return {};
    }
    default:
      return {};
  }
}

/// What a server tells of by itself: the default of session_track_system_variables, and schemas.
Bytes wanted_news(ByteSpan news) {
  constexpr std::string_view kVariables[] = {"autocommit", "character_set_client",
                                             "character_set_connection", "character_set_results",
                                             "time_zone"};
  Bytes out;
  ByteReader in(news);
  while (!in.done()) {
    const auto begin = in.at();
    const auto kind = in.fixed<uint8_t>("kind");
    const auto data = kind ? in.lenenc_text("data") : tl::unexpected(kind.error());
    if (!data) break;
    ByteReader inside(as_bytes(*data));
    const auto name = inside.lenenc_text("name");
    const bool wanted =
        *kind == kSchema || (*kind == kVariable && name &&
                             std::ranges::find(kVariables, *name) != std::end(kVariables));
    const auto whole = news.subspan(begin, in.at() - begin);
    if (wanted) out.insert(out.end(), whole.begin(), whole.end());
  }
  return out;
}

/// A number is written as it is: servers take no quotes around it.
bool is_number(std::string_view value) {
  const auto digits = value.substr(value.starts_with('-') ? 1 : 0);
  return !digits.empty() && digits.find_first_not_of("0123456789.") == std::string_view::npos;
}

}  // namespace

void note_write(Split& split, std::string_view gtid) {
  if (gtid.empty() || gtid.find_first_of("'\\") != std::string_view::npos) return;
  auto& writes = split.writes;
  if (writes.gtid == gtid) return;
  // What others have written can be known already, and a server may tell of an earlier write late.
  std::string both;
  if (writes.seen_version != 0) both = stats::last_of(writes.gtid, gtid);
  if (!both.empty() && both == writes.gtid) return;
  writes.gtid = both.empty() ? gtid : both;
  ++writes.version;
}

void note_all_writes(Split& split, std::string_view gtids) {
  if (gtids.find_first_of("'\\") != std::string_view::npos || split.writes.gtid == gtids) return;
  split.writes.gtid = gtids;
  ++split.writes.version;
}

void note_changes(Split& split, ByteSpan packet) {
  const auto told = parse_told(packet);
  if (told) {
    ByteReader in(told->news);
    while (!in.done()) {
      const auto kind = in.fixed<uint8_t>("kind");
      const auto data = kind ? in.lenenc_text("data") : tl::unexpected(kind.error());
      if (data && note_one(split, *kind, as_bytes(*data))) continue;
      split.kept.pinned = "what the server tells of the session is malformed";
      return;
    }
  }
}

void for_client(const Split& split, ByteSpan packet, Bytes& out) {
  const auto told = parse_told(packet);
  if (!told || split.settings.tracked_by_client) {
    out.assign(packet.begin(), packet.end());
    return;
  }
  const Bytes news = split.settings.told_to_client ? wanted_news(told->news) : Bytes{};
  // A text that is empty is not there at all, unless news follow.
  const auto info_at = told->status_at + 4;
  const bool has_info = info_at < packet.size() && packet[info_at] != std::byte{0};
  const auto end = has_info || !news.empty() ? told->news_at : info_at;
  out.assign(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(end));
  if (news.empty())
    out[told->status_at + 1] &= static_cast<std::byte>(~(mysql::kSessionStateChanged >> 8));
  else
    ByteWriter(out).lenenc_bytes(news);
  const auto length = out.size() - mysql::kHeaderSize;
  for (std::size_t i = 0; i < 3; ++i) out[i] = static_cast<std::byte>(length >> (8 * i));
}

namespace {

bool is_plain_name(std::string_view name) {
  constexpr std::string_view kOf = "abcdefghijklmnopqrstuvwxyz0123456789_";
  return !name.empty() && name.find_first_not_of(kOf) == std::string_view::npos;
}

void note_untold(Split& split, const std::string& name) {
  constexpr std::size_t kMaxUntold = 64;
  auto& untold = split.settings.untold;
  if (std::ranges::find(untold, name) != untold.end()) return;
  if (name.starts_with(kTracking)) {
    split.settings.tracked_by_client = true;
    split.kept.pinned = why::kTracking;
  } else if (!is_carried(name) || name == "timestamp") {  // set to what it is it would be another
    heed(split, name, "");
  } else if (untold.size() == kMaxUntold || !is_plain_name(name)) {
    split.kept.pinned = "it has set more than can be asked for";
  } else {
    untold.push_back(name);
  }
}

}  // namespace

bool sets_untold(const Split& split, std::string_view text) {
  sql::Assignments items(text, split.settings.mode);
  while (const auto item = items.next())
    if (item->untold) return true;
  return false;
}

void take_untold(Split& split, std::string_view text) {
  sql::Assignments items(text, split.settings.mode);
  while (const auto item = items.next()) {
    if (!item->untold) continue;
    note_untold(split, sql::in_small_letters(item->name.value()));
  }
}

void ask_untold(SessionState& s, Actions& out) {
  auto& settings = s.split->settings;
  if (settings.untold.empty() && !settings.collation_due) [[likely]]
    return;
  auto untold = std::exchange(settings.untold, {});
  if (std::exchange(settings.collation_due, false)) {
    std::erase(untold, "collation_connection");
    untold.emplace_back("collation_connection");
  }
  if (untold.empty() || s.split->home_link.step != Step::ready) return;
  std::string text;
  for (const auto& name : untold)
    text += fmt::format("{}@@session.{}=@@session.{}", text.empty() ? "SET " : ", ", name, name);
  run_errand(s, Side::server, Errand::track, mysql::Command::query, text, out);
}

std::string settings_statement(const Split& split, uint32_t since) {
  std::string out;
  const auto add = [&](const Setting& setting) {
    out += out.empty() ? "SET " : ", ";
    const auto other = std::ranges::find_if(kWritten, [&](const Written& one) {
      return one.name == setting.name && one.told == setting.value;
    });
    if (other != std::end(kWritten))
      out += fmt::format("@@session.{}={}", setting.name, other->written);
    else if (is_number(setting.value))
      out += fmt::format("@@session.{}={}", setting.name, setting.value);
    else
      out += fmt::format("@@session.{}='{}'", setting.name, setting.value);
  };
  // What was set to other character sets since then is set below.
  const auto& collation = split.settings.results_collation;
  const auto names = std::ranges::find_if(split.settings.list, [&](const Setting& one) {
    return one.name == kResults && one.version > since && !collation.empty();
  });
  const bool has_names = names != split.settings.list.end();
  if (has_names) out = fmt::format("SET NAMES {} COLLATE {}", names->value, collation);
  for (const auto& setting : split.settings.list)
    if (setting.version > since && !(has_names && setting.name == kResults)) add(setting);
  return out;
}

namespace {

/// Without quotes; empty if it has anything else that no collation has.
std::string plain_name(std::string_view name) {
  const auto quoted = name.size() > 2 && (name.front() == '\'' || name.front() == '"');
  if (quoted) name = name.substr(1, name.size() - 2);
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  return std::ranges::all_of(name, is_plain) ? std::string(name) : std::string();
}

}  // namespace

void take_collation(Split& split, const sql::Statement& statement, std::string_view text) {
  using Kind = sql::Assignment::Kind;
  if (!statement.effects.has(sql::Effect::SetsCharset)) return;
  sql::Assignments items(text, split.settings.mode);
  while (const auto item = items.next()) {
    if (item->kind != Kind::Names && item->kind != Kind::CharacterSet &&
        !(item->kind == Kind::SystemVariable &&
          sql::equal_ignoring_case(item->name.text, kResults)))
      continue;
    split.now.sets_results = true;
    split.now.collation = plain_name(item->collation);
  }
}

void note_collation(Split& split) {
  auto& known = split.settings.results_collation;
  if (known == split.now.collation) return;
  known = split.now.collation;
  auto& all = split.settings.list;
  const auto results = std::ranges::find(all, kResults, &Setting::name);
  if (results == all.end()) return;
  auto value = std::move(results->value);
  all.erase(results);
  all.push_back({std::string(kResults), std::move(value), ++split.settings.version});
}

void note_collation_of_login(SessionState& s, Actions& out) {
  auto& split = *s.split;
  auto& all = split.settings.list;
  const auto results = std::ranges::find(all, kResults, &Setting::name);
  const auto client = std::ranges::find(all, "character_set_client", &Setting::name);
  const auto collation = std::ranges::find(all, "collation_connection", &Setting::name);
  if (results != all.end() || client == all.end() || collation == all.end()) return;
  const bool alike =
      collation->value == client->value || collation->value.starts_with(client->value + '_');
  if (!alike || collation->value != plain_name(collation->value))
    return run_errand(s, Side::server, Errand::track, mysql::Command::query,
                      fmt::format("SET @@session.{}=@@session.{}", kResults, kResults), out);
  split.settings.results_collation = collation->value;
  all.push_back({std::string(kResults), client->value, ++split.settings.version});
}

void forget_settings(Split& split) {
  split.settings.results_collation.clear();
  split.settings.list.clear();
  split.statements.clear();
  split.variables = {};
  split.kept.pinned.clear();
  split.kept.tied.clear();
  split.kept.holdings.clear();
  split.kept.may_rename = split.kept.locks_by_name = false;
  split.settings.tracked_by_client = false;
  split.kept.knows_id = split.lending.own = false;
  split.last = {};
  split.kept.asks_sequences = false;
  split.kept.asks_prepared = split.kept.may_have_traces = split.kept.news_due = false;
  split.kept.asked_by_name = {};
  split.lending.account.clear();
  split.kept.isolated = split.kept.auto_is_null = split.settings.collation_due = false;
  split.kept.next_at_home = false;
  split.settings.untold.clear();
}

}  // namespace sluice::worker::split
