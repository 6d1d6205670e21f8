#include "master/config/schema.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <chrono>
#include <type_traits>

#include "common/base/units.h"

namespace sluice::config {

namespace {

using namespace std::chrono_literals;

template <class T>
void assign(T& member, const Value& value) {
  if constexpr (std::is_enum_v<T>) {
    const auto named = enum_from_name<T>(std::get<std::string>(value));
    assert(named && "the reader lets only known names pass");
    member = *named;
  } else if constexpr (std::is_same_v<T, uint32_t>) {
    member = static_cast<uint32_t>(std::get<uint64_t>(value));  // Key::max has room: schema_test.cc
  } else {
    member = std::get<T>(value);
  }
}

template <class T>
Value value_of(const T& member) {
  if constexpr (std::is_enum_v<T>)
    return Value(std::string(enum_name(member)));
  else if constexpr (std::is_same_v<T, uint32_t>)
    return Value(uint64_t{member});
  else
    return Value(member);
}

/// Names of the enumerators if T is an enum.
template <class T>
constexpr std::span<const std::string_view> names_of() {
  if constexpr (std::is_enum_v<T>) return kEnumNames<T>;
  return {};
}

template <class T>
constexpr Scope kScope = std::is_same_v<T, Process>   ? Scope::process
                         : std::is_same_v<T, Cluster> ? Scope::cluster
                         : std::is_same_v<T, Server>  ? Scope::server
                                                      : Scope::service;

template <class T, class Member>
Member member_type(Member T::*);
template <class T, class Member>
T class_type(Member T::*);

/// The member reached by a path of member pointers: at<&Server::tls, &Tls::mode>.
template <auto First, auto... Rest>
struct Path {
  using Class = decltype(class_type(First));
  static auto& in(auto& object) {
    if constexpr (sizeof...(Rest) == 0)
      return object.*First;
    else
      return Path<Rest...>::in(object.*First);
  }
  using Member = std::remove_reference_t<decltype(in(std::declval<Class&>()))>;
};

template <auto... Pointers>
constexpr Binding at = {
    kScope<typename Path<Pointers...>::Class>,
    [](const Objects& objects, const Value& value) {
      assign(Path<Pointers...>::in(*std::get<typename Path<Pointers...>::Class*>(objects)), value);
    },
    [](const ConstObjects& objects) {
      return value_of(
          Path<Pointers...>::in(*std::get<const typename Path<Pointers...>::Class*>(objects)));
    },
    names_of<typename Path<Pointers...>::Member>(),
};

constexpr uint64_t kKiB = 1024, kMiB = 1024 * kKiB;
constexpr auto kLaterTopologies = names("group-replication");
constexpr auto kTlsVersions = names("1.2", "1.3");
constexpr auto kFacilities = names("daemon", "user", "auth", "authpriv", "local0", "local1",
                                   "local2", "local3", "local4", "local5", "local6", "local7");

/// A row of the table below; each function returns it with one thing more.
struct Row : Key {
  constexpr Row is_required() const {
    Row row = *this;
    row.required = true;
    return row;
  }
  constexpr Row for_all_servers() const {
    Row row = *this;
    row.inherited = true;
    return row;
  }
  constexpr Row between(uint64_t least, uint64_t most) const {
    Row row = *this;
    row.min = least;
    row.max = most;
    return row;
  }
  constexpr Row between(std::chrono::milliseconds least, std::chrono::milliseconds most) const {
    return between(static_cast<uint64_t>(least.count()), static_cast<uint64_t>(most.count()));
  }
  constexpr Row without_yet(std::span<const std::string_view> words) const {
    Row row = *this;
    row.later = words;
    return row;
  }
  constexpr Row one_of(std::span<const std::string_view> words) const {
    Row row = *this;
    row.names = words;
    return row;
  }
};

constexpr Row row(std::string_view table, std::string_view name, Type type, Binding binding,
                  std::string_view default_text, std::string_view help) {
  return {{.table = table,
           .name = name,
           .type = type,
           .binding = binding,
           .default_text = default_text,
           .help = help,
           .names = binding.names}};
}

// clang-format off
constexpr Key kSchema[] = {
    row("sluice", "user", Type::text, at<&Process::user>, "sluice",
        "user that workers and monitor run as, if started as root"),
    row("sluice", "group", Type::text, at<&Process::group>, "sluice",
        "their group, and that of the control socket"),
    row("sluice", "workers", Type::integer, at<&Process::workers>, "0",
        "worker processes; 0 is one for each processor").between(0, 256),
    row("sluice", "drain_timeout", Type::duration, at<&Process::drain_timeout_ms>, "5m",
        "how long sessions of replaced workers may go on").between(0s, 7 * 24h),
    row("sluice", "max_worker_memory", Type::size, at<&Process::max_worker_memory>, "0B",
        "a worker that grows beyond it is replaced; 0B is no limit").between(0, 1024 * 1024 * kMiB),
    row("sluice", "control_socket", Type::path, at<&Process::control_socket>,
        "/run/sluice/control.sock", "socket that sluicectl connects to"),
    row("sluice", "sandbox", Type::choice, at<&Process::sandbox>, "require",
        "whether workers and monitor must lock themselves in"),
    row("sluice", "secrets_key", Type::file, at<&Process::secrets_key>, "/etc/sluice/secrets.key",
        "key of encrypted values"),
    row("sluice.log", "target", Type::choice, at<&Process::log, &Log::target>, "syslog",
        "where the log goes"),
    row("sluice.log", "level", Type::choice, at<&Process::log, &Log::level>, "notice",
        "the least important level that is logged"),
    row("sluice.log", "facility", Type::choice, at<&Process::log, &Log::facility>, "daemon",
        "facility of the system log").one_of(kFacilities),
    row("sluice.log", "file", Type::path, at<&Process::log, &Log::file>, "",
        "file of target \"file\""),

    row("cluster.*", "topology", Type::choice, at<&Cluster::topology>, "replication",
        "how the servers replicate").without_yet(kLaterTopologies),
    row("cluster.*", "interval", Type::duration, at<&Cluster::interval_ms>, "1s",
        "time between two questions to a server").between(50ms, 1h),
    row("cluster.*", "max_lag", Type::duration, at<&Cluster::max_lag_ms>, "0s",
        "a replica that lags more serves no reads; 0s is no limit").between(0s, 7 * 24h),
    row("cluster.*", "accounts_interval", Type::duration, at<&Cluster::accounts_interval_ms>, "1m",
        "time between two loads of the accounts").between(1s, 24h),
    row("cluster.*.account", "user", Type::text, at<&Cluster::user>, "",
        "account that sluice watches the servers with").is_required(),
    row("cluster.*.account", "password", Type::password, at<&Cluster::password>, "",
        "its password, clear or encrypted"),
    row("cluster.*.account", "password_file", Type::password_file, at<&Cluster::password>, "",
        "file with its password"),
    row("cluster.*.account", "password_credential", Type::credential, at<&Cluster::password>, "",
        "systemd credential with its password"),

    row("cluster.*.servers.*", "address", Type::address, at<&Server::address>, "",
        "host and port").is_required(),
    row("cluster.*.servers.*", "priority", Type::integer, at<&Server::priority>, "1",
        "who takes writes first where there is a choice; 1 is best, 0 is never").between(0, 1000),
    row("cluster.*.servers.*", "weight", Type::integer, at<&Server::weight>, "100",
        "share of connections among servers of one role; 0 is only if there is no other")
        .between(0, 10'000),
    row("cluster.*.servers.*", "connect_timeout", Type::duration, at<&Server::connect_timeout_ms>,
        "3s", "how long a connection to the server may take").between(10ms, 5min).for_all_servers(),
    row("cluster.*.servers.*", "proxy_protocol", Type::boolean, at<&Server::proxy_protocol>,
        "false", "send the client's address in a PROXY header").for_all_servers(),
    row("cluster.*.servers.*", "clear_passwords", Type::choice, at<&Server::clear_passwords>,
        "encrypted", "where the server may be sent passwords as they are").for_all_servers(),
    row("cluster.*.servers.*", "public_key_retrieval", Type::boolean,
        at<&Server::public_key_retrieval>, "false",
        "believe the RSA key that the server sends without TLS").for_all_servers(),
    row("cluster.*.servers.*.tls", "mode", Type::choice, at<&Server::tls, &Tls::mode>, "off",
        "TLS towards the server").for_all_servers(),
    row("cluster.*.servers.*.tls", "verify", Type::choice, at<&Server::tls, &Tls::verify>, "none",
        "what of the server's certificate is checked").for_all_servers(),
    row("cluster.*.servers.*.tls", "ca", Type::file, at<&Server::tls, &Tls::ca>, "",
        "certificates that sign the servers'").for_all_servers(),
    row("cluster.*.servers.*.tls", "certificate", Type::file, at<&Server::tls, &Tls::certificate>,
        "", "sluice's own certificate towards the server").for_all_servers(),
    row("cluster.*.servers.*.tls", "key", Type::file, at<&Server::tls, &Tls::key>, "",
        "its key").for_all_servers(),
    row("cluster.*.servers.*.tls", "min_version", Type::choice,
        at<&Server::tls, &Tls::min_version>, "1.2",
        "the oldest version of TLS").one_of(kTlsVersions).for_all_servers(),
    row("cluster.*.servers.*.tls", "ciphers", Type::text, at<&Server::tls, &Tls::ciphers>, "",
        "ciphers in the syntax of OpenSSL").for_all_servers(),

    row("service.*", "cluster", Type::text, at<&Service::cluster>, "",
        "cluster that serves").is_required(),
    row("service.*", "router", Type::choice, at<&Service::router>, "",
        "how servers are picked").is_required(),
    row("service.*", "listen", Type::listen, at<&Service::listen>, "",
        "addresses and Unix sockets that applications connect to").is_required(),
    row("service.*", "target", Type::choice, at<&Service::target>, "primary",
        "servers that serve"),
    row("service.*", "fallback", Type::choice, at<&Service::fallback>, "none",
        "servers that serve while none of the target can; primary if the target is replica"),
    row("service.*", "identity", Type::choice, at<&Service::identity>, "outgoing",
        "the address by which clients on this host are judged"),
    row("service.*", "account_mismatch", Type::choice, at<&Service::account_mismatch>, "refuse",
        "a login for which the server would pick another account"),
    row("service.*", "causal_reads", Type::choice, at<&Service::causal_reads>, "session",
        "whose writes a read on a replica sees (router read-write-split)"),
    row("service.*", "causal_reads_timeout", Type::duration,
        at<&Service::causal_reads_timeout_ms>, "1s",
        "how long a replica may take to catch up before the primary is asked")
        .between(1ms, 1h),
    row("service.*", "transaction_replay", Type::boolean, at<&Service::transaction_replay>, "false",
        "run an open transaction again when its primary is lost (router read-write-split)"),
    row("service.*", "transaction_replay_max_size", Type::size,
        at<&Service::transaction_replay_max_size>, "1MiB",
        "how much of a transaction's commands is kept to run it again")
        .between(kKiB, 64 * kMiB),
    row("service.*", "transaction_replay_timeout", Type::duration,
        at<&Service::transaction_replay_timeout_ms>, "30s",
        "how long it may take from the loss of the primary until a transaction was run again")
        .between(100ms, 1h),
    row("service.*", "pool", Type::integer, at<&Service::pool>, "0",
        "server connections that the sessions share, for each server; 0 is one or more a session")
        .between(0, 100'000),
    row("service.*", "pool_timeout", Type::duration, at<&Service::pool_timeout_ms>, "10s",
        "how long a command may wait for one of them").between(1ms, 1h),
    row("service.*", "max_connections", Type::integer, at<&Service::max_connections>, "0",
        "client connections at a time; 0 is no limit").between(0, 10'000'000),
    row("service.*", "login_timeout", Type::duration, at<&Service::login_timeout_ms>, "10s",
        "how long a login may take").between(100ms, 1h),
    row("service.*", "max_failed_logins", Type::integer, at<&Service::max_failed_logins>, "20",
        "failed logins of one address before its next ones are slowed; 0 is never")
        .between(0, 500),
    row("service.*", "socket_mode", Type::mode, at<&Service::socket_mode>, "0777",
        "mode of the Unix sockets").between(0, 0777),
    row("service.*", "proxy_protocol_from", Type::networks, at<&Service::proxy_protocol_from>, "",
        "networks whose PROXY headers are believed"),
    row("service.*", "clear_passwords", Type::choice, at<&Service::clear_passwords>, "encrypted",
        "where clients may send passwords as they are"),
    row("service.*", "compression", Type::boolean, at<&Service::compression>, "false",
        "offer clients the compressed protocol"),
    row("service.*.tls", "mode", Type::choice, at<&Service::tls, &Tls::mode>, "off",
        "TLS towards clients"),
    row("service.*.tls", "certificate", Type::file, at<&Service::tls, &Tls::certificate>, "",
        "certificate shown to clients"),
    row("service.*.tls", "key", Type::file, at<&Service::tls, &Tls::key>, "", "its key"),
    row("service.*.tls", "ca", Type::file, at<&Service::tls, &Tls::ca>, "",
        "certificates that sign the clients'"),
    row("service.*.tls", "min_version", Type::choice, at<&Service::tls, &Tls::min_version>, "1.2",
        "the oldest version of TLS").one_of(kTlsVersions),
    row("service.*.tls", "ciphers", Type::text, at<&Service::tls, &Tls::ciphers>, "",
        "ciphers in the syntax of OpenSSL"),
};
// clang-format on

constexpr std::string_view kServerTable = "cluster.*.servers.*";
constexpr std::string_view kClusterTable = "cluster.*";

/// The key stands in `table`, as its own or because it holds for all servers of a cluster.
bool stands_in(const Key& key, std::string_view table) {
  if (key.table == table) return true;
  return key.inherited && table.starts_with(kClusterTable) && key.table.starts_with(kServerTable) &&
         key.table.substr(kServerTable.size()) == table.substr(kClusterTable.size());
}

/// The tables that a key may stand in.
std::vector<std::string> tables_of(const Key& key) {
  std::vector<std::string> tables{std::string(key.table)};
  if (key.inherited)
    tables.push_back(fmt::format("{}{}", kClusterTable, key.table.substr(kServerTable.size())));
  return tables;
}

/// The name behind "TABLE." in a longer table: "account" for "cluster.*" in "cluster.*.account".
std::string_view child_of(std::string_view table, std::string_view longer) {
  if (!table.empty()) {
    if (!longer.starts_with(table) || longer.size() <= table.size() || longer[table.size()] != '.')
      return {};
    longer.remove_prefix(table.size() + 1);
  }
  return longer.substr(0, longer.find('.'));
}

}  // namespace

std::span<const Key> schema() {
  return kSchema;
}

const Key* find_key(std::string_view table, std::string_view name) {
  const auto it = std::ranges::find_if(
      kSchema, [&](const Key& key) { return key.name == name && stands_in(key, table); });
  return it == std::end(kSchema) ? nullptr : &*it;
}

std::vector<std::string_view> known_names(std::string_view table) {
  std::vector<std::string_view> names;
  const auto add = [&names](std::string_view name) {
    if (!name.empty() && name != "*" && std::ranges::find(names, name) == names.end())
      names.push_back(name);
  };
  for (const Key& key : kSchema)
    if (stands_in(key, table)) add(key.name);
  for (const Key& key : kSchema) {
    add(child_of(table, key.table));
    if (key.inherited && key.table != kServerTable && table == kClusterTable)
      add(child_of(kServerTable, key.table));
  }
  return names;
}

bool is_table(std::string_view table) {
  return std::ranges::any_of(kSchema, [table](const Key& key) {
    return std::ranges::any_of(tables_of(key), [table](const std::string& longer) {
      return longer == table || !child_of(table, longer).empty();
    });
  });
}

bool holds_names(std::string_view table) {
  return std::ranges::any_of(kSchema,
                             [table](const Key& key) { return child_of(table, key.table) == "*"; });
}

std::vector<std::string_view> Key::proposed() const {
  std::vector<std::string_view> out;
  for (const auto name : names)
    if (std::ranges::find(later, name) == later.end()) out.push_back(name);
  return out;
}

std::string Key::local_name() const {
  static constexpr std::array<std::string_view, 4> kTables = {"", kClusterTable, kServerTable,
                                                              "service.*"};
  auto rest = table.substr(kTables[static_cast<std::size_t>(binding.scope)].size());
  if (rest.starts_with('.')) rest.remove_prefix(1);
  return fmt::format("{}{}{}", rest, rest.empty() ? "" : ".", name);
}

std::string to_text(const Key& key, const Value& value) {
  struct Visitor {
    Type type;
    std::string operator()(bool flag) const { return flag ? "true" : "false"; }
    std::string operator()(uint64_t number) const {
      if (type == Type::duration)
        return format_duration(std::chrono::milliseconds(static_cast<int64_t>(number)));
      if (type == Type::size) return format_size(number);
      return type == Type::mode ? fmt::format("{:04o}", number) : fmt::format("{}", number);
    }
    std::string operator()(const std::string& text) const { return text; }
    std::string operator()(const Secret&) const { return "(secret)"; }
    std::string operator()(const Endpoint& endpoint) const {
      return endpoint == Endpoint{} ? "" : endpoint.text();
    }
    std::string operator()(const std::vector<Endpoint>& list) const {
      std::vector<std::string> texts;
      for (const Endpoint& endpoint : list) texts.push_back(endpoint.text());
      return fmt::format("{}", fmt::join(texts, ", "));
    }
    std::string operator()(const std::vector<std::string>& list) const {
      return fmt::format("{}", fmt::join(list, ", "));
    }
  };
  return std::visit(Visitor{key.type}, value);
}

std::string range_text(const Key& key) {
  return fmt::format("{} to {}", to_text(key, Value(key.min)), to_text(key, Value(key.max)));
}

std::string_view example(Type type) {
  switch (type) {
    case Type::boolean:
      return "true or false";
    case Type::integer:
      return "a whole number such as 100, without quotes";
    case Type::duration:
      return "a duration such as \"250ms\" or \"5m\"";
    case Type::size:
      return "a size such as \"64KiB\" or \"1GiB\"";
    case Type::mode:
      return "a file mode such as \"0660\"";
    case Type::choice:
    case Type::text:
      return "a string in quotes";
    case Type::path:
      return "an absolute path such as \"/run/sluice/control.sock\"";
    case Type::file:
      return "the path of a file such as \"/etc/sluice/ca.pem\"";
    case Type::address:
      return "an address such as \"10.0.0.11:3306\"";
    case Type::listen:
      return "a list of addresses such as [\"127.0.0.1:3306\", \"/run/sluice/shop.sock\"]";
    case Type::networks:
      return "a list of networks such as [\"10.0.0.0/8\"]";
    case Type::password:
      return "a string in quotes";
    case Type::password_file:
      return "the path of a file such as \"/etc/sluice/shop.password\"";
    case Type::credential:
      return "the name of a systemd credential";
  }
  return "";
}

}  // namespace sluice::config
