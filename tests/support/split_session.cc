#include "tests/support/split_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <functional>

namespace sluice::test {
namespace {

/// How long a query took is not compared, nor whether there are news of the session: the news are.
constexpr unsigned kMasked = SERVER_QUERY_WAS_SLOW | SERVER_SESSION_STATE_CHANGED;
constexpr unsigned kConnectionLost = 2013, kServerGone = 2006;

/// Text as it can be printed; of a long one its beginning and a checksum.
std::string shown(std::string_view text) {
  constexpr std::size_t kShown = 400;
  std::string out;
  for (const char c : text.substr(0, kShown)) {
    if (static_cast<unsigned char>(c) >= ' ' && c != 0x7F && static_cast<unsigned char>(c) < 0x80)
      out += c;
    else
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  if (text.size() <= kShown) return out;
  return fmt::format("{}... ({} bytes, {:x})", out, text.size(),
                     std::hash<std::string_view>()(text));
}

/// It differs between a result that was sent at once and one that was kept for a cursor.
constexpr unsigned kOfPlan = BINARY_FLAG;

std::string columns(MYSQL_RES* result) {
  std::string out;
  for (unsigned i = 0; i < ::mysql_num_fields(result); ++i) {
    const auto* c = ::mysql_fetch_field_direct(result, i);
    out += fmt::format(
        "  column {} ({}) of {} ({}) in {}: type {}, length {}, flags {:x}, "
        "decimals {}, charset {}, default {}\n",
        shown(c->name), shown(c->org_name), shown(c->table), shown(c->org_table), shown(c->db),
        static_cast<int>(c->type), c->length, c->flags & ~kOfPlan, c->decimals, c->charsetnr,
        c->def ? shown({c->def, c->def_length}) : "none");
  }
  return out;
}

std::string rows(MYSQL_RES* result) {
  std::string out;
  const unsigned columns = ::mysql_num_fields(result);
  while (MYSQL_ROW row = ::mysql_fetch_row(result)) {
    const unsigned long* lengths = ::mysql_fetch_lengths(result);
    out += "  row";
    for (unsigned i = 0; i < columns; ++i)
      out += row[i] ? fmt::format(" [{}]", shown({row[i], lengths[i]})) : " NULL";
    out += "\n";
  }
  return out;
}

/// Names and values of variables; of other kinds of news the texts alone.
std::vector<std::pair<std::string, std::string>> news(MYSQL* handle, enum_session_state_type kind) {
  std::vector<std::pair<std::string, std::string>> out;
  const char* text = nullptr;
  std::size_t length = 0;
  for (int more = ::mysql_session_track_get_first(handle, kind, &text, &length); more == 0;
       more = ::mysql_session_track_get_next(handle, kind, &text, &length)) {
    if (kind == SESSION_TRACK_SYSTEM_VARIABLES && !out.empty() && out.back().second.empty())
      out.back().second = "= " + shown({text, length});
    else
      out.emplace_back(shown({text, length}), "");
  }
  return out;
}

/// The server's status, and what it told of the session. An end of rows tells nothing. The database
/// is the one that the library knows by what was told: servers may tell the same one again.
std::string status(MYSQL* handle, bool rows) {
  auto out = fmt::format("status {:x}, database {}\n", handle->server_status & ~kMasked,
                         handle->db != nullptr ? handle->db : "");
  if (rows || !(handle->server_status & SERVER_SESSION_STATE_CHANGED)) return out;
  for (int kind = SESSION_TRACK_BEGIN; kind <= SESSION_TRACK_END; ++kind) {
    if (kind == SESSION_TRACK_SCHEMA) continue;
    auto told = news(handle, static_cast<enum_session_state_type>(kind));
    std::sort(told.begin(), told.end());  // servers tell of variables in any order
    for (const auto& [name, value] : told)
      out += fmt::format("  news {}: {} {}\n", kind, name, value);
  }
  return out;
}

std::string_view next_word(std::string_view& rest) {
  const auto end = std::min(rest.find(' '), rest.size());
  const auto word = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return word;
}

std::vector<std::string> split_at(std::string_view text, char separator) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at <= text.size();) {
    const auto end = std::min(text.find(separator, at), text.size());
    out.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

/// A parameter: the memory that the library reads it from at each execution.
struct Value {
  char kind = 'N';
  int32_t number = 0;
  int64_t long_number = 0;
  double real = 0;
  std::string text;
  std::array<char, 256> bytes{};
  unsigned long length = 0;
  my_bool is_null = 0;

  void set(const std::string& as_text) {
    kind = as_text.empty() ? 'N' : as_text[0];
    text = as_text.empty() ? std::string() : as_text.substr(1);
    number = std::atoi(text.c_str());
    long_number = std::atoll(text.c_str());
    real = std::atof(text.c_str());
    length = std::min(text.size(), bytes.size());
    std::memcpy(bytes.data(), text.data(), length);
    is_null = kind == 'N' ? 1 : 0;
  }
  MYSQL_BIND bind() {
    MYSQL_BIND out{};
    out.is_null = &is_null;
    out.length = &length;
    out.buffer_length = bytes.size();
    out.buffer = bytes.data();
    out.buffer_type = kind == 'b' ? MYSQL_TYPE_BLOB : MYSQL_TYPE_STRING;
    if (kind == 'i') out.buffer_type = MYSQL_TYPE_LONG, out.buffer = &number;
    if (kind == 'l') out.buffer_type = MYSQL_TYPE_LONGLONG, out.buffer = &long_number;
    if (kind == 'd') out.buffer_type = MYSQL_TYPE_DOUBLE, out.buffer = &real;
    if (kind == 'N') out.buffer_type = MYSQL_TYPE_NULL;
    return out;
  }
};

/// MariaDB 10.11 crashes on a cursor for a write that answers with rows, and confuses its client
/// with one for what a procedure answers.
bool may_have_cursor(std::string_view text) {
  return text.find("RETURNING") == std::string_view::npos && !text.starts_with("CALL");
}

}  // namespace

struct SplitSession::Statement {
  explicit Statement(MYSQL* connection) : handle(::mysql_stmt_init(connection)) {}
  ~Statement() { ::mysql_stmt_close(handle); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  void set_values(const std::vector<std::string>& texts);
  std::string error() const {
    return fmt::format("error {} ({}): {}\n", ::mysql_stmt_errno(handle),
                       ::mysql_stmt_sqlstate(handle), shown(::mysql_stmt_error(handle)));
  }
  std::string results(bool cursor);
  std::string result_columns() const;
  std::string fetched(int limit);
  std::string counts() const;

  MYSQL_STMT* handle;
  std::vector<Value> values;
  std::string kinds;            ///< of `values`, as they were bound last
  bool may_have_cursor = true;  ///< see the function
};

void SplitSession::Statement::set_values(const std::vector<std::string>& texts) {
  values.resize(::mysql_stmt_param_count(handle));
  std::string now;
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i].set(texts[i % texts.size()]);
    now += values[i].kind;
  }
  if (now != kinds) {
    std::vector<MYSQL_BIND> binds;
    for (auto& value : values) binds.push_back(value.bind());
    if (!binds.empty()) ::mysql_stmt_bind_param(handle, binds.data());
    kinds = now;
  }
  for (unsigned i = 0; i < values.size(); ++i) {
    if (values[i].kind != 'b') continue;
    const auto& text = values[i].text;
    const auto half = text.size() / 2;
    ::mysql_stmt_send_long_data(handle, i, text.data(), half);
    ::mysql_stmt_send_long_data(handle, i, text.data() + half, text.size() - half);
  }
}

std::string SplitSession::Statement::result_columns() const {
  MYSQL_RES* metadata = ::mysql_stmt_result_metadata(handle);
  if (metadata == nullptr) return {};
  const auto out = columns(metadata);
  ::mysql_free_result(metadata);
  return out;
}

std::string SplitSession::Statement::counts() const {
  return fmt::format("  affected {}, id {}, warnings {}, {}",
                     static_cast<long long>(::mysql_stmt_affected_rows(handle)),
                     ::mysql_stmt_insert_id(handle), ::mysql_stmt_warning_count(handle),
                     status(handle->mysql, ::mysql_stmt_field_count(handle) > 0));
}

std::string SplitSession::Statement::fetched(int limit) {
  std::string out;
  const unsigned count = ::mysql_stmt_field_count(handle);
  std::vector<std::array<char, 512>> buffers(count);
  std::vector<unsigned long> lengths(count);
  std::vector<my_bool> nulls(count);
  std::vector<MYSQL_BIND> binds(count);
  for (unsigned i = 0; i < count; ++i) {
    binds[i].buffer_type = MYSQL_TYPE_STRING;
    binds[i].buffer = buffers[i].data();
    binds[i].buffer_length = buffers[i].size();
    binds[i].length = &lengths[i];
    binds[i].is_null = &nulls[i];
  }
  if (count > 0) ::mysql_stmt_bind_result(handle, binds.data());
  for (int rows = 0; rows < limit; ++rows) {
    const int got = ::mysql_stmt_fetch(handle);
    if (got == MYSQL_NO_DATA) return out + "  end of rows\n";
    if (got != 0 && got != MYSQL_DATA_TRUNCATED) return out + "  " + error();
    out += "  row";
    for (unsigned i = 0; i < count; ++i) {
      const auto n = std::min<std::size_t>(lengths[i], buffers[i].size());
      out += nulls[i] ? " NULL"
                      : fmt::format(" [{}]{}", shown({buffers[i].data(), n}),
                                    n < lengths[i] ? fmt::format(" of {}", lengths[i]) : "");
    }
    out += "\n";
  }
  return out;
}

std::string SplitSession::Statement::results(bool cursor) {
  std::string out;
  for (;;) {
    if (::mysql_stmt_field_count(handle) > 0) {
      out += "  result\n" + result_columns();
      if (!cursor && ::mysql_stmt_store_result(handle) != 0) return out + "  " + error();
      out += fetched(cursor ? 1 : 1000);
    } else {
      out += "  OK\n";
    }
    out += counts();
    if (cursor) return out;
    const int next = ::mysql_stmt_next_result(handle);
    if (next < 0) return out;
    if (next > 0) return out + "  " + error();
  }
}

// What FOUND_ROWS() says to begin with is left from another session of the server's thread.
SplitSession::SplitSession(const ClientOptions& options) : client_(options) {
  client_.exec("SELECT @nothing");
}
SplitSession::~SplitSession() = default;
SplitSession::SplitSession(SplitSession&&) noexcept = default;

std::string SplitSession::error() {
  MYSQL* handle = client_.handle();
  const unsigned number = ::mysql_errno(handle);
  if (number == kConnectionLost || number == kServerGone) alive_ = false;
  return fmt::format("  error {} ({}): {}\n", number, ::mysql_sqlstate(handle),
                     shown(::mysql_error(handle)));
}

std::string SplitSession::done(bool ok) {
  if (!ok) return error();
  // A schema may be told again, and the library then shows what it was told of variables before.
  return "  done, " + status(client_.handle(), true);
}

std::string SplitSession::query(const std::string& sql) {
  MYSQL* handle = client_.handle();
  if (::mysql_real_query(handle, sql.data(), sql.size()) != 0) return error();
  std::string out;
  for (;;) {
    if (MYSQL_RES* result = ::mysql_store_result(handle)) {
      out += "  result\n" + columns(result) + rows(result);
      ::mysql_free_result(result);
    } else if (::mysql_errno(handle) != 0) {
      return out + error();
    } else {
      out += fmt::format("  OK {}\n", ::mysql_info(handle) ? ::mysql_info(handle) : "");
    }
    out += fmt::format("  affected {}, id {}, warnings {}, {}",
                       static_cast<long long>(::mysql_affected_rows(handle)),
                       ::mysql_insert_id(handle), ::mysql_warning_count(handle),
                       status(handle, ::mysql_field_count(handle) > 0));
    const int next = ::mysql_next_result(handle);
    if (next < 0) return out;
    if (next > 0) return out + error();
  }
}

std::string SplitSession::prepare(std::string_view rest) {
  auto& slot = statements_.at(static_cast<std::size_t>(next_word(rest)[0] - '0'));
  slot = std::make_unique<Statement>(client_.handle());
  if (::mysql_stmt_prepare(slot->handle, rest.data(), rest.size()) != 0) {
    const auto why = slot->error();
    slot.reset();
    return why;
  }
  slot->may_have_cursor = may_have_cursor(rest);
  return fmt::format("  prepared, {} parameters\n", ::mysql_stmt_param_count(slot->handle)) +
         slot->result_columns() +
         fmt::format("  warnings {}\n", ::mysql_warning_count(client_.handle()));
}

std::string SplitSession::execute(std::string_view rest, bool cursor) {
  auto& slot = statements_.at(static_cast<std::size_t>(next_word(rest)[0] - '0'));
  if (!slot) return "  nothing is prepared\n";
  cursor = cursor && slot->may_have_cursor;
  const unsigned long type = cursor ? CURSOR_TYPE_READ_ONLY : CURSOR_TYPE_NO_CURSOR;
  ::mysql_stmt_free_result(slot->handle);
  ::mysql_stmt_attr_set(slot->handle, STMT_ATTR_CURSOR_TYPE, &type);
  slot->set_values(split_at(rest, '|'));
  if (::mysql_stmt_execute(slot->handle) != 0) return slot->error();
  const auto out = slot->results(cursor);
  if (!cursor) ::mysql_stmt_free_result(slot->handle);
  return out;
}

std::string SplitSession::direct(std::string_view rest) {
  auto& slot = statements_.at(static_cast<std::size_t>(next_word(rest)[0] - '0'));
  slot = std::make_unique<Statement>(client_.handle());
  slot->may_have_cursor = may_have_cursor(rest);
  if (::mariadb_stmt_execute_direct(slot->handle, rest.data(), rest.size()) == 0) {
    const auto out = slot->results(false);
    ::mysql_stmt_free_result(slot->handle);
    return out;
  }
  const auto why = slot->error();
  slot.reset();
  return why;
}

std::string SplitSession::bulk(std::string_view rest) {
  auto& slot = statements_.at(static_cast<std::size_t>(next_word(rest)[0] - '0'));
  if (!slot) return "  nothing is prepared\n";
  std::vector<int32_t> numbers;
  for (const auto& value : split_at(rest, '|'))
    numbers.push_back(value.empty() ? 0 : std::atoi(value.c_str() + 1));
  MYSQL_BIND one{};
  one.buffer_type = MYSQL_TYPE_LONG;
  one.buffer = numbers.data();
  std::vector<MYSQL_BIND> binds(::mysql_stmt_param_count(slot->handle), one);
  if (binds.empty()) return "  no parameters\n";
  unsigned rows = static_cast<unsigned>(numbers.size());
  ::mysql_stmt_free_result(slot->handle);
  ::mysql_stmt_attr_set(slot->handle, STMT_ATTR_ARRAY_SIZE, &rows);
  ::mysql_stmt_bind_param(slot->handle, binds.data());
  const bool failed = ::mysql_stmt_execute(slot->handle) != 0;
  const auto out = failed ? slot->error() : slot->results(false);
  ::mysql_stmt_free_result(slot->handle);
  rows = 0;
  ::mysql_stmt_attr_set(slot->handle, STMT_ATTR_ARRAY_SIZE, &rows);
  slot->kinds.clear();
  return out;
}

std::string SplitSession::fetch(std::string_view rest) {
  auto& slot = statements_.at(static_cast<std::size_t>(next_word(rest)[0] - '0'));
  if (!slot) return "  nothing is prepared\n";
  return slot->fetched(std::atoi(std::string(rest).c_str())) + slot->counts();
}

std::string SplitSession::on_statement(std::string_view verb, std::string_view rest) {
  auto& slot = statements_.at(static_cast<std::size_t>(next_word(rest)[0] - '0'));
  if (!slot) return "  nothing is prepared\n";
  if (verb == "reset_statement")
    return ::mysql_stmt_reset(slot->handle) != 0 ? slot->error() : done(true);
  slot.reset();
  return "  closed\n";
}

std::string SplitSession::field_list(const std::string& table) {
  MYSQL_RES* result = ::mysql_list_fields(client_.handle(), table.c_str(), nullptr);
  if (result == nullptr) return error();
  const auto out = columns(result);
  ::mysql_free_result(result);
  return out + done(true);
}

std::string SplitSession::command(std::string_view verb, std::string_view rest) {
  MYSQL* handle = client_.handle();
  if (verb == "prepare") return prepare(rest);
  if (verb == "execute") return execute(rest, false);
  if (verb == "cursor") return execute(rest, true);
  if (verb == "fetch") return fetch(rest);
  if (verb == "direct") return direct(rest);
  if (verb == "bulk") return bulk(rest);
  if (verb == "reset_statement" || verb == "close") return on_statement(verb, rest);
  if (verb == "init_db") return done(::mysql_select_db(handle, std::string(rest).c_str()) == 0);
  if (verb == "field_list") return field_list(std::string(rest));
  if (verb == "several")
    return done(::mysql_set_server_option(handle, rest == "on"
                                                      ? MYSQL_OPTION_MULTI_STATEMENTS_ON
                                                      : MYSQL_OPTION_MULTI_STATEMENTS_OFF) == 0);
  if (verb == "ping") return done(::mysql_ping(handle) == 0);
  const std::string user(next_word(rest));
  const auto out =
      done(verb == "reset_connection"
               ? ::mysql_reset_connection(handle) == 0
               : client_.change_user(user, user + "-secret", std::string(rest)).has_value());
  for (auto& statement : statements_) statement.reset();  // the server has forgotten them
  return out;
}

std::string SplitSession::run(const std::string& step) {
  if (!alive_) return "  the connection is lost\n";
  if (!step.starts_with('\\')) return query(step);
  std::string_view rest = std::string_view(step).substr(1);
  const auto verb = next_word(rest);
  return command(verb, rest);
}

}  // namespace sluice::test
