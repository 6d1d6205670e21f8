// Reads the accounts of a cluster from one of its servers. Blocking; runs in the thread that owns
// the connection.
#pragma once

#include <mysql.h>

#include <string>

#include "common/accounts/table.h"
#include "common/base/result.h"

namespace sluice::monitor {

/// More than this is no set of accounts: a broken or hostile server must not fill the memory.
inline constexpr std::size_t kMaxAccounts = 1'000'000;
inline constexpr std::size_t kMaxAccountBytes = 256u << 20;

/// All accounts of the server: mysql.global_priv of MariaDB 10.4 and later, else mysql.user. Rows
/// that can't be used are there too, with their problem. Sets sql_mode and character set of the
/// connection and leaves them so; its time-outs are the caller's.
/// Errors: Errc::denied when the account that is connected lacks a privilege (the message has the
/// GRANT to give), Errc::bad_input when the answer can't be a grant table, Errc::unavailable for
/// everything else. A load that stops half-way is an error: never a partial table.
Result<accounts::Contents> load_accounts(MYSQL* connection, const std::string& server_name);

}  // namespace sluice::monitor
