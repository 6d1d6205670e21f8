#include "tests/support/routing.h"

#include <gtest/gtest.h>

namespace sluice::test {

SluiceConfig three_services(const std::string& topology,
                            const std::vector<MariadbServer*>& servers) {
  SluiceConfig config;
  config.add_cluster("shop", topology, servers);
  for (const char* target : {"primary", "replica", "any"})
    config.add_service(target, "shop", target);
  return config;
}

SluiceConfig one_service(MariadbServer& server) {
  SluiceConfig config;
  config.add_cluster("shop", "single", {&server});
  config.add_service("shop", "shop");
  return config;
}

std::string id_of(const MariadbServer& server) {
  return std::to_string(server.server_id());
}

std::string asked(Client& client) {
  return client.value("SELECT @@server_id");
}

std::string role_of(const Sluice& sluice, const MariadbServer& server) {
  return sluice.ctl_json({"show", "server", "shop/" + server.name()}).at("role");
}
std::string reason_of(const Sluice& sluice, const MariadbServer& server) {
  return sluice.ctl_json({"show", "server", "shop/" + server.name()}).at("reason");
}

bool has_role(const Sluice& sluice, const MariadbServer& server, const std::string& role,
              Milliseconds deadline) {
  return eventually(deadline, [&] { return role_of(sluice, server) == role; });
}

SqlError refused(const ClientOptions& endpoint) {
  auto client = Client::connect(endpoint);
  EXPECT_FALSE(client) << "a refusal was expected";
  return client ? SqlError{} : client.error();
}

SqlError end_of(Client& client) {
  SqlError end;
  EXPECT_TRUE(eventually(10s, [&] {
    auto rows = client.query("SELECT 1");
    if (!rows) end = rows.error();
    return !rows;
  })) << "the session goes on";
  return end;
}

bool contains(const std::string& text, std::string_view what) {
  return text.find(what) != std::string::npos;
}

}  // namespace sluice::test
