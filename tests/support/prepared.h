#pragma once

#include <array>
#include <string>
#include <utility>

#include "tests/support/client.h"
#include "tests/support/test_error.h"

namespace sluice::test {

/// A prepared statement with one INT parameter.
class Prepared {
 public:
  Prepared(Client& client, const std::string& sql)
      : statement_(::mysql_stmt_init(client.handle())) {
    if (::mysql_stmt_prepare(statement_, sql.data(), sql.size()) != 0) fail();
  }
  ~Prepared() {
    if (statement_ != nullptr) ::mysql_stmt_close(statement_);
  }
  Prepared(Prepared&& other) noexcept : statement_(std::exchange(other.statement_, nullptr)) {}
  Prepared(const Prepared&) = delete;
  Prepared& operator=(const Prepared&) = delete;

  /// First column of the first row; empty if there is none.
  std::string value(int parameter) {
    MYSQL_BIND in{};
    in.buffer_type = MYSQL_TYPE_LONG;
    in.buffer = &parameter;
    ::mysql_stmt_bind_param(statement_, &in);
    if (::mysql_stmt_execute(statement_) != 0) fail();
    if (::mysql_stmt_field_count(statement_) == 0) return {};
    std::array<char, 256> text{};
    unsigned long length = 0;
    MYSQL_BIND out{};
    out.buffer_type = MYSQL_TYPE_STRING;
    out.buffer = text.data();
    out.buffer_length = text.size();
    out.length = &length;
    ::mysql_stmt_bind_result(statement_, &out);
    if (::mysql_stmt_store_result(statement_) != 0) fail();
    const bool found = ::mysql_stmt_fetch(statement_) == 0;
    ::mysql_stmt_free_result(statement_);
    return found ? std::string(text.data(), length) : std::string();
  }

 private:
  [[noreturn]] void fail() { throw TestError(::mysql_stmt_error(statement_)); }
  MYSQL_STMT* statement_;
};

}  // namespace sluice::test
