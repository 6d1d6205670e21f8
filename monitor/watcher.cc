#include "monitor/watcher.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>

#include <algorithm>
#include <array>
#include <system_error>
#include <thread>

#include "common/base/clock.h"
#include "monitor/questions.h"

namespace sluice::monitor {
namespace {

using cluster::Address;
using cluster::Health;

constexpr int64_t kResolveEveryMs = 30'000;
constexpr int64_t kResolveAgainMs = 2'000;  // after a failure without an earlier answer
constexpr unsigned kMaxPauseIntervals = 3;

tl::expected<std::vector<Address>, std::string> resolve(const config::Endpoint& endpoint) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  if (const int code = ::getaddrinfo(endpoint.host.c_str(), nullptr, &hints, &found); code != 0)
    return tl::unexpected(
        fmt::format("host name \"{}\" can't be resolved: {}", endpoint.host, ::gai_strerror(code)));
  const std::unique_ptr<addrinfo, decltype([](addrinfo* a) { ::freeaddrinfo(a); })> owner(found);
  std::vector<Address> addresses;
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
    std::array<char, NI_MAXHOST> text{};
    if (::getnameinfo(a->ai_addr, a->ai_addrlen, text.data(), text.size(), nullptr, 0,
                      NI_NUMERICHOST) != 0)
      continue;
    Address address{.ip = text.data(), .port = endpoint.port, .path = ""};
    if (!std::ranges::count(addresses, address)) addresses.push_back(std::move(address));
  }
  return addresses;
}

/// The life of the thread that asks. It keeps its connection; after a failure it waits longer each
/// time, up to a few intervals.
class Asker {
 public:
  explicit Asker(std::shared_ptr<WatchShared> shared) : shared_(std::move(shared)) {}

  void run() {
    while (!shared_->stop->raised()) {
      const int64_t began = monotonic_ns();
      look(began);
      wait(began);
    }
  }

 private:
  void look(int64_t began) {
    shared_->mailbox->post({shared_->id, Asked{began}});
    auto answer = ask_or_reconnect();
    failures_ = answer ? 0 : std::min(failures_ + 1, kMaxPauseIntervals);
    Observation seen;
    if (answer) {
      seen = std::move(*answer);
    } else {
      seen.health = answer.error().denied() ? Health::access_denied : Health::down;
      seen.error = std::move(answer.error().text);
    }
    shared_->mailbox->post({shared_->id, Seen{std::move(seen), monotonic_ns()}});
  }

  /// A connection that broke while it was idle is no reason to call the server down.
  SqlResult<Observation> ask_or_reconnect() {
    if (connection_) {
      auto answer = ask(*connection_, shared_->cluster.topology);
      if (answer) {
        // Privileges that are granted now are those of the next login.
        if (!answer->links_error.empty()) connection_.reset();
        return answer;
      }
      connection_.reset();
      const bool gone = answer.error().connection_lost();
      if (!gone || shared_->stop->raised()) return answer;
    }
    auto opened = open();
    if (!opened) return tl::unexpected(opened.error());
    connection_.emplace(std::move(*opened));
    auto answer = ask(*connection_, shared_->cluster.topology);
    if (!answer || !answer->links_error.empty()) connection_.reset();
    return answer;
  }

  SqlResult<Connection> open() {
    const auto addresses = shared_->addresses();
    if (!addresses) return tl::unexpected(SqlError{2005, addresses.error()});
    SqlError last{2005, "the host name has no address"};
    for (const auto& address : *addresses) {
      auto opened = Connection::open(shared_->cluster, shared_->server, address);
      if (opened) return opened;
      last = opened.error();
      if (last.denied() || shared_->stop->raised()) break;
    }
    return tl::unexpected(last);
  }

  /// Until the next question is due, or the server closes the connection: then ask at once.
  void wait(int64_t began) const {
    const int64_t pause = int64_t{shared_->cluster.interval_ms} * std::max(failures_, 1u);
    const int64_t spent = (monotonic_ns() - began) / kMillisecondNs;
    const int64_t left = std::max<int64_t>(pause - spent, shared_->cluster.interval_ms / 4);
    shared_->stop->wait(connection_ ? connection_->fd() : -1, left);
  }

  const std::shared_ptr<WatchShared> shared_;
  std::optional<Connection> connection_;
  unsigned failures_ = 0;
};

Result<> detach(auto function) {
  try {
    std::thread(std::move(function)).detach();
  } catch (const std::system_error& error) {
    return fail(Errc::system, fmt::format("start a thread: {}", error.what()));
  }
  return {};
}

/// The life of the thread that resolves. The asking begins with its first outcome: until then there
/// is nothing to ask, and nothing that could be late.
void resolve_loop(const std::shared_ptr<WatchShared>& shared) {
  bool asking = false, known = false;
  while (!shared->stop->raised()) {
    auto found = resolve(shared->server.address);
    known = known || found;
    Resolved note;
    if (found)
      note.addresses = *found;
    else
      note.error = found.error();
    shared->set_addresses(note.addresses, note.error);
    shared->mailbox->post({shared->id, std::move(note)});
    if (!asking) asking = detach([shared] { Asker(shared).run(); }).has_value();
    shared->stop->wait(-1, known ? kResolveEveryMs : kResolveAgainMs);
  }
}

}  // namespace

std::optional<Address> numeric_address(const config::Endpoint& endpoint) {
  if (endpoint.is_unix()) return Address{.ip = "", .port = 0, .path = endpoint.path};
  std::array<unsigned char, sizeof(in6_addr)> raw{};
  if (::inet_pton(AF_INET, endpoint.host.c_str(), raw.data()) == 1 ||
      ::inet_pton(AF_INET6, endpoint.host.c_str(), raw.data()) == 1)
    return Address{.ip = endpoint.host, .port = endpoint.port, .path = ""};
  return std::nullopt;
}

void WatchShared::set_addresses(std::vector<Address> addresses, std::string error) {
  const std::lock_guard lock(mutex_);
  if (!addresses.empty()) addresses_ = std::move(addresses);
  resolve_error_ = std::move(error);
}

tl::expected<std::vector<Address>, std::string> WatchShared::addresses() {
  const std::lock_guard lock(mutex_);
  if (addresses_.empty()) return tl::unexpected(resolve_error_);
  return addresses_;
}

Result<Watcher> Watcher::start(uint64_t id, const config::Cluster& cluster,
                               const config::Server& server, std::shared_ptr<Mailbox> mailbox) {
  auto stop = SLUICE_TRY(StopSignal::create());
  auto shared =
      std::make_shared<WatchShared>(id, cluster, server, std::move(mailbox), std::move(stop));
  Watcher watcher(shared);  // from here on its destructor tells the threads to go
  const auto address = numeric_address(server.address);
  if (address) shared->set_addresses({*address}, "");
  SLUICE_TRY(address ? detach([shared] { Asker(shared).run(); })
                     : detach([shared] { resolve_loop(shared); }));
  return watcher;
}

Watcher::~Watcher() {
  if (shared_) shared_->stop->raise();
}

bool Watcher::serves(const config::Cluster& cluster, const config::Server& server) const {
  const auto& mine = shared_->cluster;
  return shared_->server == server && mine.topology == cluster.topology &&
         mine.user == cluster.user && mine.password == cluster.password &&
         mine.interval_ms == cluster.interval_ms;
}

}  // namespace sluice::monitor
