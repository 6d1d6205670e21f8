#include "monitor/accounts_loader.h"

#include <fmt/format.h>
#include <mysqld_error.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <memory>
#include <unordered_set>

namespace sluice::monitor {
namespace {

using accounts::Contents;
using accounts::Flavour;
using accounts::Row;

/// A result that is read row by row as it arrives.
class Answer {
 public:
  explicit Answer(MYSQL_RES* result) : result_(result) {}

  std::vector<std::string> column_names() const {
    std::vector<std::string> names;
    const MYSQL_FIELD* fields = ::mysql_fetch_fields(result_.get());
    for (unsigned i = 0; i < ::mysql_num_fields(result_.get()); ++i) {
      names.emplace_back(fields[i].name);
      for (char& c : names.back())
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return names;
  }

  /// Reads the next row into values(); false at the end, which may be an error of the connection.
  bool next() {
    const MYSQL_ROW row = ::mysql_fetch_row(result_.get());
    if (row == nullptr) return false;
    const unsigned long* lengths = ::mysql_fetch_lengths(result_.get());
    values_.resize(::mysql_num_fields(result_.get()));
    for (std::size_t i = 0; i < values_.size(); ++i)
      values_[i] = row[i] ? std::optional(std::string(row[i], lengths[i])) : std::nullopt;
    return true;
  }
  const std::vector<std::optional<std::string>>& values() const { return values_; }
  std::string text(std::size_t column) const {
    return column < values_.size() ? values_[column].value_or("") : "";
  }

 private:
  struct Free {
    void operator()(MYSQL_RES* result) const noexcept { ::mysql_free_result(result); }
  };
  std::unique_ptr<MYSQL_RES, Free> result_;
  std::vector<std::optional<std::string>> values_;
};

/// One load: the connection and what is known of the server.
class Loader {
 public:
  Loader(MYSQL* connection, const std::string& server) : mysql_(connection) {
    contents_.source = server;
  }

  Result<Contents> run() {
    if (::mysql_set_character_set(mysql_, "utf8mb4") != 0) return failure("set the character set");
    if (::mysql_query(mysql_, "SET SESSION sql_mode = '', time_zone = '+00:00'") != 0)
      return failure("set sql_mode and time_zone");
    SLUICE_TRY(ask_server());
    SLUICE_TRY(facts_.has_global_priv() ? read_global_priv() : read_user_table());
    SLUICE_TRY(read_grant_hosts());
    for (Row& row : contents_.rows) judge(row, rules_);
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    contents_.loaded_s =
        static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(now).count());
    return std::move(contents_);
  }

 private:
  /// Whose rules it follows, whether it resolves names, and how old it is.
  Result<> ask_server() {
    static constexpr const char* kWhat = "ask for its variables";
    auto answer = SLUICE_TRY(query(
        fmt::format("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({})", ServerFacts::kVariables),
        kWhat));
    while (answer.next()) facts_.note(answer.text(0), answer.text(1));
    SLUICE_TRY(finished(kWhat));
    rules_ = facts_.rules();
    contents_.flavour = rules_.flavour;
    contents_.skip_name_resolve = rules_.skip_name_resolve;
    return {};
  }

  Result<> read_global_priv() {
    static constexpr const char* kWhat = "read mysql.global_priv";
    auto answer = SLUICE_TRY(
        query("SELECT User, Host, Priv FROM mysql.global_priv", kWhat, Reads::grant_tables));
    while (answer.next())
      SLUICE_TRY(
          add(row_from_json(answer.text(0), answer.text(1), answer.text(2), rules_), answer));
    return finished(kWhat);
  }

  Result<> read_user_table() {
    static constexpr const char* kWhat = "read mysql.user";
    auto answer = SLUICE_TRY(query("SELECT * FROM mysql.user", kWhat, Reads::grant_tables));
    const auto names = answer.column_names();
    for (const char* needed : {"user", "host"})
      if (std::ranges::find(names, needed) == names.end())
        return fail(Errc::bad_input,
                    fmt::format("{}: mysql.user has no column {}", contents_.source, needed));
    while (answer.next())
      SLUICE_TRY(add(row_from_columns(UserColumns(names, answer.values()), rules_), answer));
    return finished(kWhat);
  }

  /// Rows for everybody's host say nothing that matters here, and are most of them. They are made
  /// distinct here: a server needs ten times as long for that as for sending them (200,000 rows of
  /// mysql.db, MariaDB 10.11), and must not take two hosts for one by its collation.
  Result<> read_grant_hosts() {
    static constexpr const char* kWhat = "read the hosts of its grants";
    std::string sql;
    const auto select = [&](const char* table, const char* host) {
      sql += fmt::format("{}SELECT User, {} FROM mysql.{} WHERE {} NOT IN ('', '%')",
                         sql.empty() ? "" : " UNION ALL ", host, table, host);
    };
    for (const char* table : kGrantTables) select(table, "Host");
    select("proxies_priv", "Proxied_host");  // compared with the client's host, too
    auto answer = SLUICE_TRY(query(sql, kWhat, Reads::grant_tables));
    std::unordered_set<std::string> known;
    while (answer.next()) {
      SLUICE_TRY(count(answer));
      accounts::GrantHost grant{answer.text(0), answer.text(1)};
      if (known.insert(grant.user + '\0' + grant.host).second)
        contents_.grant_hosts.push_back(std::move(grant));
    }
    return finished(kWhat);
  }

  Result<> add(Row row, const Answer& answer) {
    SLUICE_TRY(count(answer));
    contents_.rows.push_back(std::move(row));
    return {};
  }

  /// Another row has come. What is still to come after too many must not be waited for, and could
  /// be endless.
  Result<> count(const Answer& answer) {
    for (const auto& value : answer.values()) bytes_ += value ? value->size() : 0;
    if (contents_.rows.size() < kMaxAccounts && contents_.grant_hosts.size() < kMaxAccounts &&
        bytes_ <= kMaxAccountBytes)
      return {};
    ::shutdown(static_cast<int>(::mysql_get_socket(mysql_)), SHUT_RDWR);
    return fail(Errc::bad_input,
                fmt::format("{}: more than {} accounts or grants, or {} MiB of them",
                            contents_.source, kMaxAccounts, kMaxAccountBytes >> 20));
  }

  /// What a statement reads: whether a refusal means that a GRANT is missing.
  enum class Reads : uint8_t { nothing_secret, grant_tables };

  Result<Answer> query(const std::string& sql, const char* what,
                       Reads reads = Reads::nothing_secret) {
    if (::mysql_real_query(mysql_, sql.data(), sql.size()) != 0) {
      if (reads == Reads::grant_tables && is_denial(::mysql_errno(mysql_)))
        return privileges_needed();
      return failure(what);
    }
    MYSQL_RES* result = ::mysql_use_result(mysql_);
    if (result == nullptr) return failure(what);
    return Answer(result);
  }

  /// The end of an answer: was it the end, or did the connection break?
  Result<> finished(const char* what) const {
    if (::mysql_errno(mysql_) != 0) return failure(what);
    return {};
  }

  tl::unexpected<Error> failure(const char* what) const {
    return fail(Errc::unavailable, fmt::format("{}: can't {}: {} ({})", contents_.source, what,
                                               ::mysql_error(mysql_), ::mysql_errno(mysql_)));
  }

  static bool is_denial(unsigned code) {
    return code == ER_TABLEACCESS_DENIED_ERROR || code == ER_COLUMNACCESS_DENIED_ERROR ||
           code == ER_DBACCESS_DENIED_ERROR;
  }

  /// All GRANTs that are missing, not just the first.
  tl::unexpected<Error> privileges_needed() {
    const std::string refusal = ::mysql_error(mysql_), me = current_user();
    std::vector<const char*> tables(kGrantTables.begin(), kGrantTables.end());
    tables.insert(tables.begin(), facts_.has_global_priv() ? "global_priv" : "user");
    std::string grants;
    for (const char* table : tables) {
      auto answer = query(fmt::format("SELECT 1 FROM mysql.{} LIMIT 0", table), "");
      if (answer || !is_denial(::mysql_errno(mysql_))) continue;
      grants +=
          fmt::format("{}GRANT SELECT ON mysql.{} TO {}", grants.empty() ? "" : "; ", table, me);
    }
    return fail(Errc::denied, fmt::format("{}: can't read its accounts: {}; needed: {}",
                                          contents_.source, refusal, grants));
  }

  /// The account we are, as GRANT wants it: 'sluice'@'10.0.0.%'.
  std::string current_user() {
    auto answer = query("SELECT REPLACE(QUOTE(CURRENT_USER()), '@', '''@''')", "ask who we are");
    std::string name = "the account of [cluster] account";
    while (answer && answer->next()) name = answer->text(0);
    return name;
  }

  static constexpr std::array kGrantTables{"db", "tables_priv", "columns_priv", "procs_priv",
                                           "proxies_priv"};

  MYSQL* mysql_;
  Contents contents_;
  ServerFacts facts_;
  ServerRules rules_;
  std::size_t bytes_ = 0;
};

}  // namespace

void ServerFacts::note(std::string_view name, std::string_view value) {
  if (name == "skip_name_resolve") rules_.skip_name_resolve = value == "ON";
  if (name == "require_secure_transport") rules_.require_secure_transport = value == "ON";
  if (name == "default_password_lifetime")
    std::from_chars(value.data(), value.data() + value.size(), rules_.default_password_lifetime);
  if (name == "version") version_ = value;
  if (name == "aria_page_checksum") rules_.flavour = Flavour::mariadb;
}

ServerRules ServerFacts::rules() const {
  auto rules = rules_;
  if (rules.flavour == Flavour::mysql && older_than(8, 0, 23)) rules.flavour = Flavour::mysql_old;
  return rules;
}

bool ServerFacts::has_global_priv() const {
  if (rules_.flavour != Flavour::mariadb) return false;
  const bool faked = version_.find("MariaDB") == std::string::npos;  // says nothing
  return faked || !older_than(10, 4, 0);
}

/// No number where one is expected, as in Aurora's "8.0.mysql_aurora.3.05.2": not older.
bool ServerFacts::older_than(unsigned major, unsigned minor, unsigned patch) const {
  unsigned mine[] = {0, 0, 0};
  const int found =
      std::clamp(std::sscanf(version_.c_str(), "%u.%u.%u", &mine[0], &mine[1], &mine[2]), 0, 3);
  const unsigned other[] = {major, minor, patch};
  return std::lexicographical_compare(mine, mine + found, other, other + found);
}

Result<Contents> load_accounts(MYSQL* connection, const std::string& server_name) {
  return Loader(connection, server_name).run();
}

}  // namespace sluice::monitor
