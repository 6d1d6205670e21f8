// The accounts of one cluster as the servers' grant tables have them: made by the monitor, mapped
// read-only by every worker (one copy in memory however many workers there are), matched by the
// server's own rules. The bytes come from a process that talks to servers: every offset is checked
// when it is used, nothing is trusted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/enum_names.h"
#include "common/base/result.h"

namespace sluice::accounts {

/// Whose rules decide; from the server's version.
enum class Flavour : uint8_t { mariadb, mysql };

/// How the server sees a client.
struct Peer {
  std::string ip;      ///< IPv4 or IPv6 text; empty for a Unix socket
  std::string name;    ///< resolved host name, "localhost" for a Unix socket; empty if there is none
};

/// One way of proving who one is.
struct Proof {
  std::string_view plugin;  ///< "mysql_native_password", ...
  std::string_view text;    ///< authentication_string: "*6BB4837E…"; empty: no password
};

/// One row, as views into the table; they live as long as the table's mapping.
struct Account {
  std::string_view user, host;  ///< as in the grant table; user empty: anonymous
  std::vector<Proof> proofs;    ///< alternatives in the server's order; one, but for MariaDB's VIA a OR b
  bool locked = false;
  bool is_role = false;
  std::string_view problem;     ///< why it can't be used ("host name can't be resolved"); empty: it can
};

/// What the monitor fills in; encoded by encode().
struct Row {
  std::string user, host;
  struct Proof {
    std::string plugin, text;
  };
  std::vector<Proof> proofs;
  bool locked = false, is_role = false;
  std::string problem;
};
struct Contents {
  Flavour flavour = Flavour::mariadb;
  bool skip_name_resolve = false;   ///< @@skip_name_resolve of the server
  uint64_t loaded_s = 0;            ///< when, seconds since the epoch
  std::string source;               ///< name of the server that it was read from
  std::vector<Row> rows;
};

/// The table's bytes, rows in the order in which the server tries them.
Bytes encode(const Contents& contents);

}  // namespace sluice::accounts
