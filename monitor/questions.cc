#include "monitor/questions.h"

#include <fmt/format.h>

#include <charconv>

namespace sluice::monitor {
namespace {

using config::Topology;

constexpr unsigned kWsrepNotReady =
    1047;  // ER_UNKNOWN_COM_ERROR: "WSREP has not yet prepared node"
constexpr unsigned kMissingPrivilege = 1227;

/// SHOW ALL SLAVES STATUS became SHOW REPLICA STATUS, and its columns were renamed.
struct LinkDialect {
  const char *statement, *privilege;
  const char *channel, *host, *port, *source_id, *io, *sql, *behind;
};
constexpr LinkDialect kMariadb = {"SHOW ALL SLAVES STATUS",
                                  "SLAVE MONITOR",
                                  "Connection_name",
                                  "Master_Host",
                                  "Master_Port",
                                  "Master_Server_Id",
                                  "Slave_IO_Running",
                                  "Slave_SQL_Running",
                                  "Seconds_Behind_Master"};
constexpr LinkDialect kMysql = {
    "SHOW REPLICA STATUS", "REPLICATION CLIENT",  "Channel_Name",
    "Source_Host",         "Source_Port",         "Source_Server_Id",
    "Replica_IO_Running",  "Replica_SQL_Running", "Seconds_Behind_Source"};
constexpr LinkDialect kOldMysql = {
    "SHOW SLAVE STATUS", "REPLICATION CLIENT", "Channel_Name",
    "Master_Host",       "Master_Port",        "Master_Server_Id",
    "Slave_IO_Running",  "Slave_SQL_Running",  "Seconds_Behind_Master"};

/// "8.0.36-foo" as 80036; 0 for what does not look like a version.
uint32_t version_number(std::string_view version) {
  uint32_t parts[3] = {0, 0, 0};
  const char* at = version.data();
  const char* const end = at + version.size();
  for (auto& part : parts) {
    const auto [next, code] = std::from_chars(at, end, part);
    if (code != std::errc()) break;
    at = next;
    if (at == end || *at != '.') break;
    ++at;
  }
  return parts[0] * 10000 + parts[1] * 100 + parts[2];
}

const LinkDialect& dialect(const Greeting& greeting) {
  if (greeting.is_mariadb()) return kMariadb;
  return version_number(greeting.version) >= 80022 ? kMysql : kOldMysql;
}

Running running(const std::string& text) {
  if (text == "Yes") return Running::yes;
  return text == "Connecting" || text == "Preparing" ? Running::connecting : Running::no;
}

/// A boolean variable. MariaDB 12's read_only has more values than ON; they all forbid writes.
bool is_on(const std::string& text) {
  return !text.empty() && text != "0" && text != "OFF";
}

ReplicationLink to_link(const ResultSet& set, std::size_t row, const LinkDialect& d) {
  ReplicationLink link;
  link.channel = set.text(row, d.channel);
  link.host = set.text(row, d.host);
  link.port = static_cast<uint16_t>(set.number(row, d.port).value_or(0));
  link.source_id = static_cast<uint32_t>(set.number(row, d.source_id).value_or(0));
  link.io = running(set.text(row, d.io));
  link.sql = running(set.text(row, d.sql));
  if (const auto behind = set.number(row, d.behind)) link.behind_s = static_cast<uint32_t>(*behind);
  link.io_errno = static_cast<uint32_t>(set.number(row, "Last_IO_Errno").value_or(0));
  link.io_error = set.text(row, "Last_IO_Error");
  link.sql_errno = static_cast<uint32_t>(set.number(row, "Last_SQL_Errno").value_or(0));
  link.sql_error = set.text(row, "Last_SQL_Error");
  return link;
}

SqlResult<void> ask_variables(Connection& connection, Observation& seen) {
  const auto set = connection.query(
      seen.greeting.is_mariadb()
          ? "SELECT @@global.server_id AS server_id, @@global.read_only AS read_only,"
            " @@global.gtid_binlog_pos AS binlog, @@global.gtid_current_pos AS current"
          : "SELECT @@global.server_id AS server_id, @@global.read_only AS read_only,"
            " @@global.super_read_only AS super_read_only,"
            " @@global.gtid_executed AS binlog, @@global.gtid_executed AS current");
  if (!set) return tl::unexpected(set.error());
  seen.server_id = static_cast<uint32_t>(set->number(0, "server_id").value_or(0));
  seen.read_only = is_on(set->text(0, "read_only"));
  seen.super_read_only = is_on(set->text(0, "super_read_only"));
  seen.gtid_binlog = set->text(0, "binlog");
  seen.gtid_current = set->text(0, "current");
  return {};
}

SqlResult<void> ask_links(Connection& connection, Observation& seen) {
  const LinkDialect& d = dialect(seen.greeting);
  const auto set = connection.query(d.statement);
  if (!set && set.error().number == kMissingPrivilege) {
    seen.links_error =
        fmt::format("the watching account may not see replication; grant it {}", d.privilege);
    return {};
  }
  if (!set) return tl::unexpected(set.error());
  for (std::size_t row = 0; row < set->rows.size(); ++row)
    seen.links.push_back(to_link(*set, row, d));
  return {};
}

/// SHOW answers on a node outside of the primary component too; SELECT does not.
SqlResult<void> ask_wsrep(Connection& connection, Observation& seen) {
  const auto variables = connection.query(
      "SHOW GLOBAL VARIABLES WHERE Variable_name IN"
      " ('server_id','read_only','wsrep_on','wsrep_desync','wsrep_reject_queries')");
  if (!variables) return tl::unexpected(variables.error());
  auto& wsrep = seen.wsrep.emplace();
  for (std::size_t row = 0; row < variables->rows.size(); ++row) {
    const auto name = variables->text(row, "Variable_name");
    const auto value = variables->text(row, "Value");
    if (name == "server_id")
      seen.server_id = static_cast<uint32_t>(variables->number(row, "Value").value_or(0));
    if (name == "read_only") seen.read_only = is_on(value);
    if (name == "wsrep_on") wsrep.on = is_on(value);
    if (name == "wsrep_desync") wsrep.desync = is_on(value);
    if (name == "wsrep_reject_queries") wsrep.rejects_queries = value != "NONE";
  }
  const auto status = connection.query(
      "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_cluster_status',"
      "'wsrep_cluster_state_uuid','wsrep_cluster_size','wsrep_local_state',"
      "'wsrep_local_state_comment','wsrep_ready')");
  if (!status) return tl::unexpected(status.error());
  for (std::size_t row = 0; row < status->rows.size(); ++row) {
    const auto name = status->text(row, "Variable_name");
    const auto value = status->text(row, "Value");
    const auto number = static_cast<uint32_t>(status->number(row, "Value").value_or(0));
    if (name == "wsrep_cluster_status") wsrep.cluster_status = value;
    if (name == "wsrep_cluster_state_uuid") wsrep.cluster_state_uuid = value;
    if (name == "wsrep_cluster_size") wsrep.cluster_size = number;
    if (name == "wsrep_local_state") wsrep.local_state = number;
    if (name == "wsrep_local_state_comment") wsrep.local_state_comment = value;
    if (name == "wsrep_ready") wsrep.ready = is_on(value);
  }
  return {};
}

SqlResult<void> ask_all(Connection& connection, Topology topology, Observation& seen) {
  if (topology == Topology::galera) return ask_wsrep(connection, seen);
  if (auto ok = ask_variables(connection, seen); !ok) return ok;
  if (topology == Topology::single) return {};
  return ask_links(connection, seen);
}

}  // namespace

SqlResult<Observation> ask(Connection& connection, Topology topology) {
  Observation seen;
  seen.health = cluster::Health::up;
  seen.greeting = connection.greeting();
  seen.outgoing_ip = connection.outgoing_ip();
  const auto ok = ask_all(connection, topology, seen);
  if (ok) return seen;
  if (topology != Topology::galera || ok.error().number != kWsrepNotReady)
    return tl::unexpected(ok.error());
  seen.wsrep.emplace().on = true;  // alive, and outside of everything
  seen.wsrep->cluster_status = "not prepared";
  return seen;
}

}  // namespace sluice::monitor
