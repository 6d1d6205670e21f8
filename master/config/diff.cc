#include "master/config/diff.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/units.h"
#include "master/config/schema.h"

namespace sluice::config {
namespace {

using Kind = Change::Kind;
using Changes = std::vector<Change>;

std::string shown(const Key& key, const Value& value) {
  auto text = to_text(key, value);
  return text.empty() ? "\"\"" : text;
}

/// The keys of one object that differ. Other ways to write a password are the same member, and
/// addresses to listen on are listeners: both have their own rows.
void compare_keys(Scope scope, const ConstObjects& before, const ConstObjects& after,
                  std::string_view what, const std::string& name, Changes& changes) {
  for (const Key& key : schema()) {
    if (key.binding.scope != scope || key.type == Type::password_file ||
        key.type == Type::credential || key.type == Type::listen)
      continue;
    const Value old_value = key.binding.load(before), new_value = key.binding.load(after);
    if (old_value == new_value) continue;
    if (key.type == Type::password)
      changes.push_back({Kind::changed, std::string(what), name, "password changed"});
    else if (scope == Scope::process)
      changes.push_back({Kind::changed, std::string(what), name + key.local_name(),
                         fmt::format("{} -> {}", shown(key, old_value), shown(key, new_value))});
    else
      changes.push_back({Kind::changed, std::string(what), name,
                         fmt::format("{}: {} -> {}", key.local_name(), shown(key, old_value),
                                     shown(key, new_value))});
  }
}

/// What the files of TLS hold, where it differs although their names do not.
void compare_tls_files(const Tls& before, const Tls& after, std::string_view what,
                       const std::string& name, Changes& changes) {
  const auto add = [&](std::string_view key, bool was_read, bool is_read, std::string_view more) {
    const auto how = !was_read ? "now read" : is_read ? "changed content" : "no longer read";
    changes.push_back({Kind::changed, std::string(what), name,
                       fmt::format("tls.{}: {}{}", key, how, is_read ? more : "")});
  };
  if (before.ca == after.ca && before.ca_pem != after.ca_pem)
    add("ca", !before.ca_pem.empty(), !after.ca_pem.empty(), "");
  if (before.certificate == after.certificate &&
      (before.certificate_pem != after.certificate_pem || before.not_after_s != after.not_after_s))
    add("certificate", !before.certificate_pem.empty(), !after.certificate_pem.empty(),
        fmt::format(", expires {}", format_date(after.not_after_s)));
  if (before.key == after.key && before.key_pem != after.key_pem)
    add("key", !before.key_pem.empty(), !after.key_pem.empty(), "");
}

/// Pairs the elements of two lists by `key`, and calls removed(x), added(y) or both(x, y).
template <class T, class Projection, class Removed, class Added, class Both>
void pair_up(const std::vector<T>& before, const std::vector<T>& after, Projection key,
             Removed removed, Added added, Both both) {
  for (const T& old_one : before) {
    const auto same = std::ranges::find(after, std::invoke(key, old_one), key);
    if (same == after.end())
      removed(old_one);
    else
      both(old_one, *same);
  }
  for (const T& new_one : after)
    if (std::ranges::find(before, std::invoke(key, new_one), key) == before.end()) added(new_one);
}

void compare_servers(const Cluster& before, const Cluster& after, Changes& changes) {
  const auto name = [&](const Server& s) { return fmt::format("{}/{}", after.name, s.name); };
  const auto add = [&](Kind kind, const Server& s) {
    changes.push_back({kind, "server", name(s), s.address.text()});
  };
  pair_up(
      before.servers, after.servers, &Server::name, [&](const Server& s) { add(Kind::removed, s); },
      [&](const Server& s) { add(Kind::added, s); },
      [&](const Server& old_one, const Server& new_one) {
        compare_keys(Scope::server, {nullptr, nullptr, &old_one, nullptr},
                     {nullptr, nullptr, &new_one, nullptr}, "server", name(new_one), changes);
        compare_tls_files(old_one.tls, new_one.tls, "server", name(new_one), changes);
      });
}

void compare_listeners(const Service& before, const Service& after, Changes& changes) {
  const auto add = [&](Kind kind, const Endpoint& endpoint) {
    changes.push_back({kind, "listener", fmt::format("{} {}", after.name, endpoint.text()), ""});
  };
  pair_up(
      before.listen, after.listen, std::identity{},
      [&](const Endpoint& e) { add(Kind::removed, e); },
      [&](const Endpoint& e) { add(Kind::added, e); }, [](const Endpoint&, const Endpoint&) {});
}

void add_cluster(Kind kind, const Cluster& cluster, Changes& changes) {
  changes.push_back(
      {kind, "cluster", cluster.name, fmt::format("topology {}", enum_name(cluster.topology))});
  for (const Server& server : cluster.servers)
    changes.push_back(
        {kind, "server", fmt::format("{}/{}", cluster.name, server.name), server.address.text()});
}

void add_service(Kind kind, const Service& service, Changes& changes) {
  changes.push_back(
      {kind, "service", service.name,
       fmt::format("router {}, cluster {}", enum_name(service.router), service.cluster)});
  for (const Endpoint& endpoint : service.listen)
    changes.push_back({kind, "listener", fmt::format("{} {}", service.name, endpoint.text()), ""});
}

/// Order does not serve anything, but equal means equal: lists that differ in it alone are named.
template <class T>
bool only_order_differs(const std::vector<T>& before, const std::vector<T>& after) {
  return before != after &&
         std::is_permutation(before.begin(), before.end(), after.begin(), after.end());
}

void compare_cluster(const Cluster& before, const Cluster& after, Changes& changes) {
  compare_keys(Scope::cluster, {nullptr, &before, nullptr, nullptr},
               {nullptr, &after, nullptr, nullptr}, "cluster", after.name, changes);
  compare_servers(before, after, changes);
  if (only_order_differs(before.servers, after.servers))
    changes.push_back({Kind::changed, "cluster", after.name, "order of the servers"});
}

void compare_service(const Service& before, const Service& after, Changes& changes) {
  compare_keys(Scope::service, {nullptr, nullptr, nullptr, &before},
               {nullptr, nullptr, nullptr, &after}, "service", after.name, changes);
  compare_tls_files(before.tls, after.tls, "service", after.name, changes);
  compare_listeners(before, after, changes);
  if (only_order_differs(before.listen, after.listen))
    changes.push_back({Kind::changed, "service", after.name, "order of the listeners"});
}

}  // namespace

std::vector<Change> diff(const Config& before, const Config& after) {
  Changes changes;
  compare_keys(Scope::process, {&before.sluice, nullptr, nullptr, nullptr},
               {&after.sluice, nullptr, nullptr, nullptr}, "setting", "", changes);
  pair_up(
      before.clusters, after.clusters, &Cluster::name,
      [&](const Cluster& c) { add_cluster(Kind::removed, c, changes); },
      [&](const Cluster& c) { add_cluster(Kind::added, c, changes); },
      [&](const Cluster& a, const Cluster& b) { compare_cluster(a, b, changes); });
  pair_up(
      before.services, after.services, &Service::name,
      [&](const Service& s) { add_service(Kind::removed, s, changes); },
      [&](const Service& s) { add_service(Kind::added, s, changes); },
      [&](const Service& a, const Service& b) { compare_service(a, b, changes); });
  return changes;
}

}  // namespace sluice::config
