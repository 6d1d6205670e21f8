// One client connection of the benchmark: socket calls around load_mysql.h.

#include "load_connection.h"

#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "load_util.h"

namespace sluice::bench {

void Connection::open(const Target& target) {
  target_ = &target;
  phase_ = Phase::Greeting;
  incoming_.clear();
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd_ < 0) die("socket: %s", std::strerror(errno));
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(fd_, reinterpret_cast<const sockaddr*>(&target.address), sizeof target.address) < 0)
    die("connect to port %d: %s", ntohs(target.address.sin_port), std::strerror(errno));
}

void Connection::send_query(std::string_view whole_packet) {
  reader_.begin();
  phase_ = Phase::Result;
  send_all(whole_packet);
}

void Connection::prepare(std::string_view statement, std::span<char> scratch) {
  send_all(prepare_packet(statement));
  std::string answer;
  std::optional<uint32_t> id;
  while (!id) {
    const auto bytes = receive_some(scratch);
    answer.append(bytes.data(), bytes.size());
    id = prepared_id(answer);
  }
  statement_id_ = *id;
  types_ = Types::sent;
}

void Connection::send_execute(int32_t parameter) {
  reader_.begin();
  phase_ = Phase::Result;
  send_all(execute_packet(statement_id_, parameter, std::exchange(types_, Types::known)));
}

std::span<const char> Connection::receive_some(std::span<char> scratch) {
  const ssize_t got = recv(fd_, scratch.data(), scratch.size(), 0);
  if (got < 0) die("recv: %s", std::strerror(errno));
  if (got == 0) die("the other end closed the connection");
  return scratch.first(static_cast<std::size_t>(got));
}

Connection::Progress Connection::receive(std::span<char> scratch) {
  const auto bytes = receive_some(scratch);
  bytes_received_ += bytes.size();
  switch (phase_) {
    case Phase::Greeting:
    case Phase::LoginReply:
      return on_login_bytes(bytes);
    case Phase::Result:
      if (!reader_.feed(bytes)) return Progress::Pending;
      phase_ = Phase::Ready;
      return Progress::ResultDone;
    case Phase::Ready:
      break;
  }
  die("bytes that nobody asked for");
}

void Connection::wait_for(Progress wanted, std::span<char> scratch) {
  while (receive(scratch) != wanted) {
  }
}

void Connection::quit() {
  send_all(quit_packet());
  close();
}

void Connection::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

void Connection::send_all(std::string_view bytes) {
  const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(bytes.size())) die("send: %s", std::strerror(errno));
}

Connection::Progress Connection::on_login_bytes(std::span<const char> bytes) {
  constexpr std::size_t kHeaderSize = 4;
  incoming_.append(bytes.data(), bytes.size());
  if (incoming_.size() < kHeaderSize) return Progress::Pending;
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(incoming_[i]); };
  const std::size_t length =
      byte(0) | static_cast<std::size_t>(byte(1)) << 8 | static_cast<std::size_t>(byte(2)) << 16;
  if (incoming_.size() < kHeaderSize + length) return Progress::Pending;
  if (incoming_.size() > kHeaderSize + length || length == 0) die("unexpected bytes at login");
  const Progress progress =
      on_login_packet(byte(3), std::string_view(incoming_).substr(kHeaderSize));
  incoming_.clear();
  return progress;
}

Connection::Progress Connection::on_login_packet(uint8_t sequence, std::string_view payload) {
  if (phase_ == Phase::Greeting) {
    send_all(handshake_response(target_->login, scramble_from_greeting(payload)));
    phase_ = Phase::LoginReply;
    return Progress::Pending;
  }
  switch (static_cast<unsigned char>(payload[0])) {
    case 0x00:
      phase_ = Phase::Ready;
      return Progress::LoggedIn;
    case 0xfe:
      send_all(packet(
          static_cast<uint8_t>(sequence + 1),
          native_password_proof(target_->login.password, scramble_from_auth_switch(payload))));
      return Progress::Pending;
    case 0xff:
      die("login refused: %s", error_text(payload).c_str());
    default:
      die("unexpected packet at login");
  }
}

}  // namespace sluice::bench
