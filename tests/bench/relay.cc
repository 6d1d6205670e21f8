// bench_relay LISTEN_PORT TARGET_PORT: the floor that tests/bench measures sluice against. One
// thread, level-triggered epoll, one buffer: what any user-space TCP relay has to pay and nothing
// more. In the steady state it calls epoll_wait, recv and send only. A short write stops the
// reading from the other side until the rest is out, so that the comparison is with a relay that
// could be used.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace sluice::bench {
namespace {

/// One end of a relayed connection: its socket, and the bytes that this socket did not take yet.
struct Side {
  int fd = -1;
  Side* peer = nullptr;
  struct Pair* pair = nullptr;
  std::string unsent;        ///< read from the peer; while it is not empty the peer is not read
  uint32_t interest = 0;     ///< what epoll watches
  bool input_ended = false;  ///< this side has sent its FIN
};

struct Pair {
  Side client, server;
  bool closed = false;
};

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

void set_nodelay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

class Relay {
 public:
  Relay(uint16_t listen_port, uint16_t target_port);
  [[noreturn]] void run();

 private:
  static constexpr int kEventsPerWait = 64;
  static constexpr std::size_t kBufferSize = 64 * 1024;

  void accept_one();
  void on_event(Side& side, uint32_t events);
  void read_from(Side& side);
  void flush(Side& side);
  void end_output(Side& side);
  void update_interest(Side& side);
  void close_pair(Pair& pair);

  int epoll_ = -1;
  int listener_ = -1;
  sockaddr_in target_;
  std::vector<std::unique_ptr<Pair>> closed_;  ///< freed once no event of the batch can name them
  std::array<char, kBufferSize> buffer_;
};

Relay::Relay(uint16_t listen_port, uint16_t target_port) : target_(loopback(target_port)) {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) die("epoll_create1");
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const sockaddr_in address = loopback(listen_port);
  if (bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) die("bind");
  if (listen(listener_, SOMAXCONN) < 0) die("listen");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = nullptr;  // the listener: every other event names a Side
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &event) < 0) die("epoll_ctl");
}

void Relay::run() {
  std::array<epoll_event, kEventsPerWait> events;
  for (;;) {
    const int n = epoll_wait(epoll_, events.data(), kEventsPerWait, -1);
    if (n < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < n; ++i) {
      auto* side = static_cast<Side*>(events[i].data.ptr);
      if (side == nullptr) {
        accept_one();
      } else if (!side->pair->closed) {
        on_event(*side, events[i].events);
      }
    }
    closed_.clear();
  }
}

/// The connection to the target is not waited for: what the client sends before it stands meets
/// EAGAIN and takes the way of any short write; a refusal shows as an error of that socket.
void Relay::accept_one() {
  const int client = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (client < 0) return;
  const int server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (server < 0) die("socket");
  set_nodelay(client);
  set_nodelay(server);
  auto* pair = new Pair;  // owned by its two epoll registrations until close_pair()
  pair->client.fd = client;
  pair->client.peer = &pair->server;
  pair->client.pair = pair;
  pair->server.fd = server;
  pair->server.peer = &pair->client;
  pair->server.pair = pair;
  if (connect(server, reinterpret_cast<const sockaddr*>(&target_), sizeof target_) < 0 &&
      errno != EINPROGRESS) {
    close_pair(*pair);
    return;
  }
  for (Side* side : {&pair->client, &pair->server}) {
    side->interest = EPOLLIN;
    epoll_event event{};
    event.events = side->interest;
    event.data.ptr = side;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, side->fd, &event) < 0) die("epoll_ctl");
  }
}

void Relay::on_event(Side& side, uint32_t events) {
  if (events & EPOLLOUT) flush(side);
  if (side.pair->closed) return;
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !side.input_ended &&
      side.peer->unsent.empty()) {
    read_from(side);
  } else if (events & EPOLLERR) {
    close_pair(*side.pair);  // nothing is left to read, or the peer can't take it
  }
}

/// One recv and one send: level-triggered epoll comes back if there is more.
void Relay::read_from(Side& side) {
  Side& peer = *side.peer;
  const ssize_t got = recv(side.fd, buffer_.data(), buffer_.size(), 0);
  if (got < 0) {
    if (errno != EAGAIN && errno != EINTR) close_pair(*side.pair);
    return;
  }
  if (got == 0) {
    side.input_ended = true;
    end_output(peer);
    return;
  }
  ssize_t sent = send(peer.fd, buffer_.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL);
  if (sent == got) return;
  if (sent < 0) {
    if (errno != EAGAIN && errno != EINTR) {
      close_pair(*side.pair);
      return;
    }
    sent = 0;
  }
  peer.unsent.assign(buffer_.data() + sent, static_cast<std::size_t>(got - sent));
  update_interest(side);
  update_interest(peer);
}

/// Sends what `side` did not take before; once all is out its peer is read again.
void Relay::flush(Side& side) {
  if (side.unsent.empty()) return;
  const ssize_t sent = send(side.fd, side.unsent.data(), side.unsent.size(), MSG_NOSIGNAL);
  if (sent < 0) {
    if (errno != EAGAIN && errno != EINTR) close_pair(*side.pair);
    return;
  }
  side.unsent.erase(0, static_cast<std::size_t>(sent));
  if (!side.unsent.empty()) return;
  std::string().swap(side.unsent);
  update_interest(side);
  update_interest(*side.peer);
}

/// Passes a FIN on (there is never unsent data here: the peer is not read while there is).
void Relay::end_output(Side& side) {
  if (side.input_ended) {
    close_pair(*side.pair);
    return;
  }
  shutdown(side.fd, SHUT_WR);
  update_interest(*side.peer);
}

void Relay::update_interest(Side& side) {
  const bool read = !side.input_ended && side.peer->unsent.empty();
  const bool write = !side.unsent.empty();
  const uint32_t interest = (read ? EPOLLIN : 0U) | (write ? EPOLLOUT : 0U);
  if (interest == side.interest) return;
  side.interest = interest;
  epoll_event event{};
  event.events = interest;
  event.data.ptr = &side;
  if (epoll_ctl(epoll_, EPOLL_CTL_MOD, side.fd, &event) < 0) die("epoll_ctl");
}

void Relay::close_pair(Pair& pair) {
  pair.closed = true;
  close(pair.client.fd);
  close(pair.server.fd);
  closed_.emplace_back(&pair);
}

uint16_t port_of(const char* text) {
  const long port = std::strtol(text, nullptr, 10);
  if (port < 1 || port > 65535) {
    std::fprintf(stderr, "bench_relay: \"%s\" is not a port\n", text);
    std::exit(2);
  }
  return static_cast<uint16_t>(port);
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: bench_relay LISTEN_PORT TARGET_PORT\n");
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  static sluice::bench::Relay relay(sluice::bench::port_of(argv[1]),
                                    sluice::bench::port_of(argv[2]));
  relay.run();
}
