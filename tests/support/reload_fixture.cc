#include "tests/support/reload_fixture.h"

#include <fmt/format.h>

#include "tests/support/test_error.h"

namespace sluice::test {

void ReloadTest::SetUpTestSuite() {
  pair_ = std::make_unique<ReplicationPair>();
  alone_ = std::make_unique<MariadbServer>(MariadbOptions{.name = "alone"});
}

void ReloadTest::TearDownTestSuite() {
  alone_.reset();
  pair_.reset();
}

SluiceConfig ReloadTest::two_services() {
  SluiceConfig config;
  config.add_cluster("left", "single", {&left()});
  config.add_cluster("right", "single", {&right()});
  config.add_service("left", "left");
  config.add_service("right", "right");
  return config;
}

std::string ReloadTest::answering(const Sluice& sluice, const std::string& service) {
  auto client = Client::connect(sluice.endpoint(service));
  if (!client) return fmt::format("{} {}", client.error().code, client.error().text);
  return client->value("SELECT @@server_id");
}

bool ReloadTest::is_refused(const ClientOptions& endpoint) {
  const auto client = Client::connect(endpoint);
  return !client && (client.error().code == 2002 || client.error().code == 2003);  // CR_CONN*_ERROR
}

Client ReloadTest::session_on(const Sluice& sluice, const std::string& service,
                              const std::string& server_id) {
  for (int i = 0; i < 50; ++i) {
    auto client = sluice.connect(service);
    if (client.value("SELECT @@server_id") == server_id) return client;
  }
  throw TestError(fmt::format("no session of {} gets to server {}", service, server_id));
}

}  // namespace sluice::test
