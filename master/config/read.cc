#include "master/config/read.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "master/config/endpoint.h"
#include "master/config/schema.h"
#include "master/config/value_reader.h"

namespace sluice::config {
namespace {

constexpr std::size_t kMaxName = 64;

/// A table: its path in this configuration ("cluster.shop") and in the schema ("cluster.*").
struct Where {
  std::string path, pattern;

  Where table(std::string_view name) const {
    return {join(path, name), fmt::format("{}{}{}", pattern, pattern.empty() ? "" : ".", name)};
  }
  Where named(std::string_view name) const { return {join(path, name), pattern + ".*"}; }
};

/// "cluster.*.servers.*" as people write it: "[cluster.NAME.servers.NAME]".
std::string written(std::string_view pattern) {
  std::string text = "[";
  for (const char c : pattern) c == '*' ? text.append("NAME") : text.append(1, c);
  return text + "]";
}

/// What to write for a required key that is missing.
std::string missing_hint(std::string_view name) {
  if (name == "account")
    return "account = { user = \"sluice\", password_file = \"/etc/sluice/shop.password\" }";
  if (name == "servers") return "servers = { db1 = \"10.0.0.11:3306\", db2 = \"10.0.0.12:3306\" }";
  if (name == "listen") return "listen = [\"127.0.0.1:3306\"]";
  if (name == "router") return fmt::format("router = \"{}\"", enum_name(RouterKind{}));
  return {};
}

/// What to write where a table is wanted and something else stands; may be empty.
std::string table_hint(const Member& member) {
  if (member.name == "tls") return "tls.mode = \"required\", or \"preferred\", or \"off\"";
  if (member.name != "servers" || member.value.kind == Node::Kind::boolean) return {};
  std::string named;
  for (const Node& item : member.value.items)
    if (item.kind == Node::Kind::string && parse_server_address(item.text))
      named += fmt::format("{}db{} = \"{}\"", named.empty() ? "" : ", ",
                           1 + (&item - member.value.items.data()), item.text);
  if (named.empty()) return missing_hint("servers");
  return fmt::format("each has a name: servers = {{ {} }}", named);
}

class Reader {
 public:
  Reader(const Inputs& inputs, Places& places, Problems& problems)
      : values_(inputs, problems), places_(places), problems_(problems) {}

  Config read(const Node& root);

 private:
  void read_cluster(const Member& member, const Where& where);
  void read_servers(const Member& table, const Where& where, const Server& defaults,
                    Cluster& cluster);
  void read_service(const Member& member, const Where& where);
  /// Every key of the table and of the tables in it, except where users give names.
  void read_table(const Node& table, const Where& where, const Objects& objects);
  void read_key(const Key& key, const Member& member, const Where& where, const Objects& objects);
  void report_unknown(const Member& member, const Where& where);
  void require(const Where& where, std::string_view name);
  bool expect_table(const Member& member, const Where& where);
  bool good_name(const Member& member, const Where& where);
  template <class Each>
  void for_each_named(const Node& root, std::string_view table, Each each);

  ValueReader values_;
  Places& places_;
  Problems& problems_;
  Config config_;
  std::set<std::string> misspelt_;  ///< keys that were probably meant: not missing as well
};

Config Reader::read(const Node& root) {
  for (const Member& member : root.members) {
    if (member.name == "admin")
      problems_.error(member.at, "admin", "this release has no admin endpoints on the network yet",
                      "remove [admin]; sluicectl uses [sluice] control_socket");
    else if (!is_table(member.name))
      report_unknown(member, {});
  }
  const Where top;
  if (const Member* sluice = root.find("sluice");
      sluice && expect_table(*sluice, top.table("sluice")))
    // The key of encrypted values first: passwords need it.
    for (const Member& member : sluice->value.members)
      if (const Key* key = find_key("sluice", member.name); key && key->name == "secrets_key")
        read_key(*key, member, top.table("sluice"), {&config_.sluice, nullptr, nullptr, nullptr});
  values_.use_secrets_key(config_.sluice.secrets_key);
  if (const Member* sluice = root.find("sluice"))
    read_table(sluice->value, top.table("sluice"), {&config_.sluice, nullptr, nullptr, nullptr});

  for_each_named(root, "cluster", [this](auto& member, auto& at) { read_cluster(member, at); });
  for_each_named(root, "service", [this](auto& member, auto& at) { read_service(member, at); });
  std::ranges::sort(config_.clusters, {}, &Cluster::name);
  std::ranges::sort(config_.services, {}, &Service::name);
  return std::move(config_);
}

template <class Each>
void Reader::for_each_named(const Node& root, std::string_view table, Each each) {
  const Member* all = root.find(table);
  const auto where = Where{}.table(table);
  if (all == nullptr || !expect_table(*all, where)) return;
  for (const Member& member : all->value.members) {
    const auto named = where.named(member.name);
    if (expect_table(member, named) && good_name(member, named)) each(member, named);
  }
}

void Reader::read_cluster(const Member& member, const Where& where) {
  Cluster& cluster = config_.clusters.emplace_back();
  cluster.name = member.name;
  Server defaults;  // what the cluster says for all its servers
  read_table(member.value, where, {nullptr, &cluster, &defaults, nullptr});
  require(where, "account");
  if (const Member* account = member.value.find("account");
      account && account->value.kind == Node::Kind::table)
    require(where.table("account"), "user");
  require(where, "servers");
  if (const Member* servers = member.value.find("servers");
      servers && servers->value.kind == Node::Kind::table)
    read_servers(*servers, where.table("servers"), defaults, cluster);
}

void Reader::read_servers(const Member& table, const Where& where, const Server& defaults,
                          Cluster& cluster) {
  if (table.value.members.empty())
    problems_.error(table.at, where.path, "a cluster has at least one server",
                    "db1 = \"10.0.0.11:3306\"");
  for (const Member& member : table.value.members) {
    const auto named = where.named(member.name);
    if (!good_name(member, named)) continue;
    Server server = defaults;
    server.name = member.name;
    const Objects objects{nullptr, nullptr, &server, nullptr};
    if (member.value.kind == Node::Kind::string) {  // the short form: db1 = "10.0.0.11:3306"
      places_.put(named.path, member.value.at);
      read_key(*find_key(named.pattern, "address"), member, named, objects);
    } else if (member.value.kind == Node::Kind::table) {
      places_.put(named.path, member.at);
      read_table(member.value, named, objects);
      require(named, "address");
    } else {
      problems_.error(member.value.at, named.path,
                      fmt::format("expected {} or a table, not {}", example(Type::address),
                                  describe(member.value.kind)));
    }
    cluster.servers.push_back(std::move(server));
  }
}

void Reader::read_service(const Member& member, const Where& where) {
  Service& service = config_.services.emplace_back();
  service.name = member.name;
  read_table(member.value, where, {nullptr, nullptr, nullptr, &service});
  for (const Key& key : schema())
    if (key.required && key.table == where.pattern) require(where, key.name);
  if (service.target == Target::replica && !places_.has(join(where.path, "fallback")))
    service.fallback = Fallback::primary;
}

void Reader::read_table(const Node& table, const Where& where, const Objects& objects) {
  for (const Member& member : table.members) {
    const auto inner = where.table(member.name);
    if (const Key* key = find_key(where.pattern, member.name)) {
      if (!places_.has(inner.path)) read_key(*key, member, where, objects);
    } else if (!is_table(inner.pattern)) {
      report_unknown(member, where);
    } else if (expect_table(member, inner) && !holds_names(inner.pattern)) {
      read_table(member.value, inner, objects);
    }
  }
}

void Reader::read_key(const Key& key, const Member& member, const Where& where,
                      const Objects& objects) {
  const auto path = join(where.path, key.name);
  places_.put(path, member.value.at);
  if (member.value.kind == Node::Kind::array)
    for (std::size_t i = 0; i < member.value.items.size(); ++i)
      places_.put(fmt::format("{}[{}]", path, i), member.value.items[i].at);
  if (const auto value = values_.read(key, member.value, path)) key.binding.store(objects, *value);
}

/// Names the nearest key; or the tables in which the key would be right; or all there are.
void Reader::report_unknown(const Member& member, const Where& where) {
  const auto known = known_names(where.pattern);
  std::string hint;
  if (where.pattern == "service.*" && member.name == "proxy_protocol") {
    // Both sides have one, and they are easily taken for each other.
    hint =
        "headers from load balancers: proxy_protocol_from = [\"10.0.0.5\"]; headers to the "
        "servers: proxy_protocol = true in [cluster.NAME]";
  } else if (const auto near = closest(known, member.name); !near.empty()) {
    hint = fmt::format("did you mean \"{}\"?", near);
    misspelt_.insert(join(where.path, near));
  } else {
    for (const Key& key : schema())
      if (key.name == member.name)
        hint += fmt::format("{} {}", hint.empty() ? "it belongs into" : " or", written(key.table));
    if (hint.empty()) hint = suggest(known, member.name);
  }
  problems_.error(member.at, where.path, fmt::format("unknown key {:?}", member.name),
                  std::move(hint));
}

void Reader::require(const Where& where, std::string_view name) {
  const auto path = join(where.path, name);
  if (places_.has(path) || misspelt_.contains(path)) return;
  problems_.error(places_.of(where.path), where.path, fmt::format("\"{}\" is missing", name),
                  missing_hint(name));
}

bool Reader::expect_table(const Member& member, const Where& where) {
  places_.put(where.path, member.at);
  if (member.value.kind == Node::Kind::table) return true;
  problems_.error(member.value.at, where.path,
                  fmt::format("expected a table such as {}, not {}",
                              written(where.pattern + (holds_names(where.pattern) ? ".*" : "")),
                              describe(member.value.kind)),
                  table_hint(member));
  return false;
}

bool Reader::good_name(const Member& member, const Where& where) {
  const auto legal = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
  };
  const std::string& name = member.name;
  if (!name.empty() && name.size() <= kMaxName && std::ranges::all_of(name, legal)) return true;
  problems_.error(member.at, where.path, "not a name",
                  fmt::format("a name has 1 to {} of the characters A-Z a-z 0-9 _ . -", kMaxName));
  return false;
}

}  // namespace

Config read(const Node& root, const Inputs& inputs, Places& places, Problems& problems) {
  return Reader(inputs, places, problems).read(root);
}

}  // namespace sluice::config
