#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "load_mysql.h"

namespace sluice::bench {

/// Where the load goes, and as whom.
struct Target {
  sockaddr_in address{};
  Login login;
};

/// One client connection: a blocking socket that is read only when it is readable (level-triggered
/// epoll, one recv for each event) or when waiting is meant. Small packets never meet a full socket
/// buffer, so sending needs no state.
class Connection {
 public:
  enum class Progress : uint8_t { Pending, LoggedIn, ResultDone };

  Connection() = default;
  ~Connection() { close(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Connects; the greeting is answered by receive(). `target` must outlive the connection.
  void open(const Target& target);
  /// COM_QUERY as a whole packet (query_packet()).
  void send_query(std::string_view whole_packet);
  /// Prepares a statement with one parameter, and waits for that.
  void prepare(std::string_view statement, std::span<char> scratch);
  /// COM_STMT_EXECUTE of that.
  void send_execute(int32_t parameter);
  /// One recv of up to `scratch.size()` bytes, and what it led to.
  Progress receive(std::span<char> scratch);
  /// receive() until `wanted`.
  void wait_for(Progress wanted, std::span<char> scratch);
  /// COM_QUIT and close, without waiting for the other end, as client libraries do.
  void quit();
  void close();

  int fd() const { return fd_; }
  /// Bytes received since the last call.
  uint64_t take_bytes_received() { return std::exchange(bytes_received_, 0); }

 private:
  enum class Phase : uint8_t { Greeting, LoginReply, Ready, Result };

  void send_all(std::string_view bytes);
  std::span<const char> receive_some(std::span<char> scratch);
  Progress on_login_bytes(std::span<const char> bytes);
  Progress on_login_packet(uint8_t sequence, std::string_view payload);

  int fd_ = -1;
  Phase phase_ = Phase::Greeting;
  const Target* target_ = nullptr;
  std::string incoming_;  ///< an incomplete packet of the login
  ResultReader reader_;
  uint32_t statement_id_ = 0;
  Types types_ = Types::sent;  ///< in the next execution
  uint64_t bytes_received_ = 0;
};

}  // namespace sluice::bench
