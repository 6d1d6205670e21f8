#include "tests/support/sluice_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <charconv>

#include "tests/support/free_port.h"
#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

std::string render(const std::string& name, const ClusterSpec& cluster) {
  std::vector<std::string> servers;
  for (const auto* server : cluster.servers)
    servers.push_back(fmt::format("{} = {}", server->name(), toml_string(server->address())));
  return fmt::format(
      "\n[cluster.{}]\nservers = {{ {} }}\ntopology = {}\n"
      "account = {{ user = {}, password = {} }}\ninterval = {}\n{}\n",
      name, fmt::join(servers, ", "), toml_string(cluster.topology), toml_string(cluster.user),
      toml_string(cluster.password), toml_string(cluster.interval), cluster.extra);
}

std::string render(const std::string& name, const ServiceSpec& service) {
  std::vector<std::string> listen;
  for (const auto& address : service.listen) listen.push_back(toml_string(address));
  return fmt::format("\n[service.{}]\ncluster = {}\nrouter = {}\n{}listen = [{}]\n{}\n", name,
                     toml_string(service.cluster), toml_string(service.router),
                     service.router == "connection"
                         ? fmt::format("target = {}\n", toml_string(service.target))
                         : "",
                     fmt::join(listen, ", "), service.extra);
}

}  // namespace

std::string toml_string(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + '"';
}

uint16_t ServiceSpec::port() const {
  for (const auto& address : listen) {
    if (address.starts_with('/')) continue;
    const auto colon = address.rfind(':');
    uint16_t port = 0;
    const auto* end = address.data() + address.size();
    if (colon != std::string::npos &&
        std::from_chars(address.data() + colon + 1, end, port).ptr == end)
      return port;
  }
  throw TestError("the service has no TCP listener");
}

ServiceSpec& SluiceConfig::add_service(const std::string& name, const std::string& cluster,
                                       const std::string& target) {
  auto& service = services[name];
  service.cluster = cluster;
  service.target = target;
  service.listen = {free_address()};
  return service;
}

ClusterSpec& SluiceConfig::add_cluster(const std::string& name, const std::string& topology,
                                       std::vector<const DatabaseServer*> servers) {
  auto& cluster = clusters[name];
  cluster.topology = topology;
  cluster.servers = std::move(servers);
  return cluster;
}

std::string SluiceConfig::text() const {
  std::string result = fmt::format(
      "[sluice]\nworkers = {}\ncontrol_socket = {}\n"
      "log = {{ target = \"file\", file = {}, level = \"info\" }}\n",
      workers, toml_string(control_socket), toml_string(log_file));
  // The user `sluice` is made by the package; a test machine need not have it.
  if (::geteuid() == 0 && settings.find("user") == std::string::npos)
    result += "user = \"nobody\"\ngroup = \"nogroup\"\n";
  result += settings + "\n";
  for (const auto& [name, cluster] : clusters) result += render(name, cluster);
  for (const auto& [name, service] : services) result += render(name, service);
  return result + extra;
}

}  // namespace sluice::test
