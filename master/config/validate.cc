#include "master/config/validate.h"

#include <fmt/format.h>

#include <algorithm>

#include "master/config/endpoint.h"
#include "master/config/parse.h"

namespace sluice::config {
namespace {

class Validator {
 public:
  Validator(const Config& config, const Places& places, Completeness completeness,
            Problems& problems)
      : config_(config),
        places_(places),
        whole_(completeness == Completeness::whole),
        problems_(problems) {}

  void run() {
    check_log();
    for (const Cluster& cluster : config_.clusters) check(cluster);
    for (const Service& service : config_.services) check(service);
    check_listeners();
    if (whole_ && config_.services.empty() && !places_.has("service"))
      problems_.error({}, "", "no service is configured",
                      fmt::format("a whole configuration:\n\n{}", kMinimalConfiguration));
  }

 private:
  void error(const std::string& path, std::string text, std::string hint = {}) {
    problems_.error(places_.of(path), path, std::move(text), std::move(hint));
  }
  void warning(const std::string& path, std::string text, std::string hint = {}) {
    problems_.warning(places_.of(path), path, std::move(text), std::move(hint));
  }

  void check_log();
  void check(const Cluster& cluster);
  void check_account(const std::string& path);
  void check_topology(const Cluster& cluster, const std::string& path);
  void check_addresses(const Cluster& cluster, const std::string& path);
  void check(const Service& service);
  void check_fallback(const Service& service, const std::string& path);
  void check_proxies(const Service& service, const std::string& path);
  void check_listeners();

  const Config& config_;
  const Places& places_;
  const bool whole_;
  Problems& problems_;
};

void Validator::check_log() {
  if (config_.sluice.log.target == LogTarget::file && !places_.has("sluice.log.file"))
    error("sluice.log.target", "target \"file\" needs the name of the file",
          "file = \"/var/log/sluice.log\"");
}

void Validator::check(const Cluster& cluster) {
  const auto path = join("cluster", cluster.name);
  check_account(join(path, "account"));
  check_topology(cluster, path);
  check_addresses(cluster, path);
  const bool used = std::ranges::any_of(config_.services, [&](const Service& service) {
    return service.cluster == cluster.name || service.cluster.empty();  // empty: could be this one
  });
  if (whole_ && !used) warning(path, "no service uses this cluster");
}

void Validator::check_account(const std::string& path) {
  if (!places_.has(path)) return;  // reported by the reader
  const char* given = nullptr;
  for (const char* key : {"password", "password_file", "password_credential"}) {
    if (!places_.has(join(path, key))) continue;
    if (given != nullptr)
      error(join(path, key), fmt::format("a second password beside \"{}\"", given),
            "give one of password, password_file and password_credential");
    given = key;
  }
  if (given == nullptr)
    error(path, "the account has no password",
          "password_file = \"/etc/sluice/shop.password\", or password_credential, or password");
}

void Validator::check_topology(const Cluster& cluster, const std::string& path) {
  const auto topology = join(path, "topology");
  const auto count = cluster.servers.size();
  if (cluster.topology == Topology::group_replication)
    error(topology, "topology \"group-replication\" is not supported yet",
          "this release knows replication, multi-primary, galera and single");
  if (cluster.topology == Topology::single && count > 1)
    error(topology, fmt::format("topology \"single\" has one server, not {}", count),
          "several servers replicate: topology = \"replication\"");
  if (cluster.topology == Topology::multi_primary && count != 2 && count != 0)
    error(topology, fmt::format("topology \"multi-primary\" has two servers, not {}", count));
}

void Validator::check_addresses(const Cluster& cluster, const std::string& path) {
  const auto place_of = [&](const Server& server) {
    return join(join(join(path, "servers"), server.name), "address");
  };
  for (auto server = cluster.servers.begin(); server != cluster.servers.end(); ++server) {
    if (server->address == Endpoint{}) continue;  // reported by the reader
    const auto first = std::find_if(cluster.servers.begin(), server, [&](const Server& other) {
      return other.address == server->address;
    });
    if (first != server)
      error(place_of(*server), fmt::format("{} is the address of \"{}\" already",
                                           server->address.text(), first->name));
  }
}

void Validator::check(const Service& service) {
  const auto path = join("service", service.name);
  check_fallback(service, path);
  check_proxies(service, path);
  if (!whole_ || service.cluster.empty() || config_.cluster(service.cluster) != nullptr) return;
  std::vector<std::string_view> names;
  for (const Cluster& cluster : config_.clusters) names.push_back(cluster.name);
  error(join(path, "cluster"), fmt::format("unknown cluster \"{}\"", service.cluster),
        names.empty() ? fmt::format("there is none; write a table [cluster.{}]", service.cluster)
                      : suggest(names, service.cluster));
}

void Validator::check_fallback(const Service& service, const std::string& path) {
  const bool splits = service.router == RouterKind::read_write_split;
  if (splits && service.target != Target::primary)
    error(join(path, "target"), "router \"read-write-split\" writes to the primary",
          "leave it out: reads go to the replicas by themselves");
  if (splits && places_.has(join(path, "fallback")))
    error(join(path, "fallback"), "is of router \"connection\"",
          "leave it out: reads go to the primary when no replica can serve");
  if (!splits && service.pool > 0)
    error(join(path, "pool"), "is of router \"read-write-split\"",
          "leave it out: a session of router \"connection\" has one server connection of its own");
  if (splits || service.fallback == Fallback::none) return;
  if (service.target == Target::any)
    warning(join(path, "fallback"), "is never used: target \"any\" has every server already");
  else if (enum_name(service.target) == enum_name(service.fallback))
    warning(join(path, "fallback"), "is never used: it is the target itself");
}

void Validator::check_proxies(const Service& service, const std::string& path) {
  const auto& networks = service.proxy_protocol_from;
  for (std::size_t i = 0; i < networks.size(); ++i)
    if (networks[i].ends_with("/0"))
      warning(fmt::format("{}[{}]", join(path, "proxy_protocol_from"), i),
              "whoever can connect may claim any address",
              "name the proxies alone, such as \"10.0.0.5\"");
}

void Validator::check_listeners() {
  struct Listener {
    std::string path;
    const Endpoint* endpoint;
  };
  std::vector<Listener> listeners;
  for (const Service& service : config_.services)
    for (std::size_t i = 0; i < service.listen.size(); ++i)
      listeners.push_back({fmt::format("{}[{}]", join(join("service", service.name), "listen"), i),
                           &service.listen[i]});
  // In the order of the files, so that it is the later one that is reported.
  std::ranges::stable_sort(listeners, {}, [this](const Listener& l) { return places_.of(l.path); });
  for (auto one = listeners.begin(); one != listeners.end(); ++one) {
    const auto first = std::find_if(listeners.begin(), one, [&](const Listener& other) {
      return overlap(*other.endpoint, *one->endpoint);
    });
    if (first != one)
      error(one->path, fmt::format("{} is taken by {} of {} ({})", one->endpoint->text(),
                                   first->endpoint->text(), first->path,
                                   problems_.name(places_.of(first->path))));
    if (one->endpoint->path == config_.sluice.control_socket)
      error(one->path, "is the control socket ([sluice] control_socket)");
  }
}

}  // namespace

void validate(const Config& config, const Places& places, Completeness completeness,
              Problems& problems) {
  Validator(config, places, completeness, problems).run();
}

}  // namespace sluice::config
