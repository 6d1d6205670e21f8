#include "tests/support/monitored.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>

#include "tests/support/sluice.h"
#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

template <class Message>
std::optional<Message> as(const ipc::Frame& frame) {
  if (frame.id != ipc::Declared<Message>::kId) return std::nullopt;
  auto message = ipc::decode<Message>(frame.body);
  EXPECT_TRUE(message) << "malformed message " << frame.id;
  return std::move(*message);
}

}  // namespace

config::Cluster watched(config::Topology topology, const std::vector<MariadbServer*>& servers,
                        uint32_t interval_ms) {
  config::Cluster cluster;
  cluster.name = "shop";
  cluster.topology = topology;
  cluster.user = kWatchUser;
  cluster.password = Secret(kWatchPassword);
  cluster.interval_ms = interval_ms;
  for (const auto* server : servers) {
    auto& s = cluster.servers.emplace_back();
    s.name = server->name();
    s.address = {"127.0.0.1", server->port(), ""};
  }
  return cluster;
}

Monitored::Monitored(std::vector<config::Cluster> clusters) {
  auto ends = ipc::Channel::pair();
  if (!ends) throw TestError(ends.error().message);
  channel_.emplace(std::move(ends->first));
  // The shell moves the channel to where the monitor looks for it.
  process_ =
      Process({.argv = {"sh", "-c", "exec \"$0\" 3<&0 0</dev/null", program("sluice-monitor")},
               .output = output(),
               .stdin_fd = ends->second.get()});
  send(ipc::Hello{.role = ipc::Role::master});
  send(ipc::MonitorConfig{.log_level = log::Level::info, .clusters = std::move(clusters)});
  send(ipc::Start{});
  started_ = Clock::now();
}

Monitored::~Monitored() {
  if (process_.pid() != 0) process_.kill9();
  const auto printed = read_file(output());
  EXPECT_EQ(printed.find("Sanitizer"), std::string::npos) << printed;
  if (testing::Test::HasFailure())
    std::fprintf(stderr, "log of the monitor:\n%s%s", log_.c_str(), printed.c_str());
}

void Monitored::check(const Result<>& result) {
  if (!result) throw TestError(result.error().message);
}

bool Monitored::until_health(Milliseconds deadline, const std::string& server,
                             cluster::Health health) {
  return until(deadline, [&] {
    const auto* s = state.server(server);
    return s && s->health == health;
  });
}

std::string Monitored::roles() const {
  std::string text;
  for (const auto& s : state.servers) text += "-PR"[static_cast<int>(s.role)];
  return text;
}

ipc::Answer Monitored::ask(std::string command, std::vector<std::string> arguments) {
  answer.reset();
  send(ipc::Ask{++asked_, std::move(command), std::move(arguments)});
  if (!until(10s, [&] { return answer && answer->id == asked_; }))
    throw TestError("no answer from the monitor");
  return *answer;
}

bool Monitored::receive_within(Milliseconds time) {
  pollfd ready{channel_->fd(), POLLIN, 0};
  if (time == Milliseconds(0) || ::poll(&ready, 1, static_cast<int>(time.count())) <= 0)
    return false;
  auto frame = channel_->receive();
  if (!frame) return false;
  if (*frame) take(std::move(**frame));
  return true;
}

void Monitored::take(ipc::Frame frame) {
  if (auto record = as<ipc::LogRecord>(frame))
    log_ += fmt::format("{} {}: {}\n", log::name(record->level), record->component, record->text);
  else if (auto update = as<ipc::ClusterUpdate>(frame))
    take_state(std::move(*update));
  else if (auto loaded = as<ipc::AccountsUpdate>(frame))
    take_accounts(*loaded, frame.fds.at(0).get());
  else if (auto done = as<ipc::AccountsChecked>(frame))
    checked.push_back(std::move(*done));
  else if (auto resolved = as<ipc::NameResolved>(frame))
    names.push_back(std::move(*resolved));
  else if (auto replied = as<ipc::Answer>(frame))
    answer = std::move(replied);
  else if (as<ipc::Ready>(frame))
    ready = true;
  else if (as<ipc::Leaving>(frame))
    leaving = true;
}

void Monitored::take_state(ipc::ClusterUpdate update) {
  EXPECT_GT(update.state.version, state.version);
  state = std::move(update.state);
  ++updates;
  two_primaries = two_primaries || std::ranges::count(state.servers, cluster::Role::primary,
                                                      &cluster::ServerState::role) > 1;
}

void Monitored::take_accounts(const ipc::AccountsUpdate& update, int fd) {
  EXPECT_GT(update.version, accounts_version);
  accounts_version = update.version;
  const auto map = ipc::SealedMap::map(fd, 256 << 20);
  ASSERT_TRUE(map);
  accounts.assign(map->bytes().begin(), map->bytes().end());
}

}  // namespace sluice::test
