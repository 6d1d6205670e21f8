#include "monitor/accounts_loader.h"

#include <fmt/format.h>
#include <mysqld_error.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "monitor/accounts_rows.h"

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
    if (::mysql_query(mysql_, "SET SESSION sql_mode = ''") != 0) return failure("set sql_mode");
    SLUICE_TRY(ask_server());
    SLUICE_TRY(read_accounts());
    for (Row& row : contents_.rows) judge(row, contents_.flavour, contents_.skip_name_resolve);
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    contents_.loaded_s =
        static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(now).count());
    return std::move(contents_);
  }

 private:
  /// Whose rules it follows, whether it resolves names, and how old it is.
  Result<> ask_server() {
    // The version may be faked (version=…), the engine behind MariaDB's system tables can't be.
    auto answer =
        SLUICE_TRY(query("SHOW GLOBAL VARIABLES WHERE Variable_name IN "
                         "('skip_name_resolve', 'version', 'aria_page_checksum')",
                         "ask for its variables"));
    contents_.flavour = Flavour::mysql;
    while (answer.next()) {
      const auto name = answer.text(0);
      if (name == "skip_name_resolve") contents_.skip_name_resolve = answer.text(1) == "ON";
      if (name == "version") version_ = answer.text(1);
      if (name == "aria_page_checksum") contents_.flavour = Flavour::mariadb;
    }
    return finished("ask for its variables");
  }

  /// global_priv decides wherever there is one: the view mysql.user that MariaDB 10.4 keeps beside
  /// it shows neither locks nor alternatives.
  Result<> read_accounts() {
    if (contents_.flavour == Flavour::mysql || before_global_priv()) return read_user_table();
    return read_global_priv();
  }

  /// MariaDB 10.3 and older. "10.3.39-MariaDB", "5.5.68-MariaDB".
  bool before_global_priv() const {
    unsigned major = 0, minor = 0;
    if (std::sscanf(version_.c_str(), "%u.%u", &major, &minor) != 2) return false;
    if (version_.find("MariaDB") == std::string::npos) return false;  // faked: says nothing
    return major < 10 || (major == 10 && minor < 4);
  }

  Result<> read_global_priv() {
    static constexpr const char* kWhat = "read mysql.global_priv";
    auto answer =
        SLUICE_TRY(query("SELECT User, Host, Priv FROM mysql.global_priv", kWhat, "global_priv"));
    while (answer.next())
      SLUICE_TRY(add(row_from_json(answer.text(0), answer.text(1), answer.text(2)), answer));
    return finished(kWhat);
  }

  Result<> read_user_table() {
    static constexpr const char* kWhat = "read mysql.user";
    auto answer = SLUICE_TRY(query("SELECT * FROM mysql.user", kWhat, "user"));
    const auto names = answer.column_names();
    for (const char* needed : {"user", "host"})
      if (std::ranges::find(names, needed) == names.end())
        return fail(Errc::bad_input,
                    fmt::format("{}: mysql.user has no column {}", contents_.source, needed));
    while (answer.next())
      SLUICE_TRY(add(row_from_columns(UserColumns(names, answer.values())), answer));
    return finished(kWhat);
  }

  Result<> add(Row row, const Answer& answer) {
    for (const auto& value : answer.values()) bytes_ += value ? value->size() : 0;
    if (contents_.rows.size() == kMaxAccounts || bytes_ > kMaxAccountBytes) {
      // What is still to come must not be waited for, and could be endless.
      ::shutdown(static_cast<int>(::mysql_get_socket(mysql_)), SHUT_RDWR);
      return fail(Errc::bad_input,
                  fmt::format("{}: more than {} accounts, or {} MiB of them", contents_.source,
                              kMaxAccounts, kMaxAccountBytes >> 20));
    }
    contents_.rows.push_back(std::move(row));
    return {};
  }

  /// `table` in the database mysql is what the statement reads; for the error.
  Result<Answer> query(const char* sql, const char* what, const char* table = nullptr) {
    if (::mysql_query(mysql_, sql) != 0) {
      const unsigned code = ::mysql_errno(mysql_);
      if (table != nullptr &&
          (code == ER_TABLEACCESS_DENIED_ERROR || code == ER_COLUMNACCESS_DENIED_ERROR ||
           code == ER_DBACCESS_DENIED_ERROR))
        return privilege_needed(table);
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

  tl::unexpected<Error> privilege_needed(const char* table) {
    std::string refusal = ::mysql_error(mysql_);
    return fail(
        Errc::denied,
        fmt::format("{}: can't read its accounts: {}; needed: GRANT SELECT ON mysql.{} TO {}",
                    contents_.source, refusal, table, current_user()));
  }

  /// The account we are, as GRANT wants it: 'sluice'@'10.0.0.%'.
  std::string current_user() {
    auto answer = query("SELECT REPLACE(QUOTE(CURRENT_USER()), '@', '''@''')", "ask who we are");
    std::string name = "the account of [cluster] account";
    while (answer && answer->next()) name = answer->text(0);
    return name;
  }

  MYSQL* mysql_;
  Contents contents_;
  std::string version_;
  std::size_t bytes_ = 0;
};

}  // namespace

Result<Contents> load_accounts(MYSQL* connection, const std::string& server_name) {
  return Loader(connection, server_name).run();
}

}  // namespace sluice::monitor
