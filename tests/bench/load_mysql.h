#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

/// The client's half of the MySQL protocol, as much of it as a benchmark needs and no more. Written
/// apart from sluice's own parsers on purpose: the yardstick must not share their faults or their
/// cost. No I/O here. What does not fit the protocol ends the program (load_util.h, die()).
namespace sluice::bench {

/// Who logs in, and into which schema.
struct Login {
  std::string user;
  std::string password;
  std::string database;
};

using Scramble = std::array<unsigned char, 20>;

/// SHA1(password) XOR SHA1(scramble + SHA1(SHA1(password))); empty for an empty password.
/// Source: MariaDB documentation, "Authentication plugin - mysql_native_password".
std::string native_password_proof(std::string_view password, const Scramble& scramble);

/// The 20 bytes of challenge in the server's greeting (`payload` without the packet header).
Scramble scramble_from_greeting(std::string_view payload);

/// The 20 bytes of challenge in a request to go on with mysql_native_password (0xFE packet).
Scramble scramble_from_auth_switch(std::string_view payload);

/// The whole packet that answers the greeting.
std::string handshake_response(const Login& login, const Scramble& scramble);

/// A packet with its header. `payload` is shorter than 16 MiB.
std::string packet(uint8_t sequence, std::string_view payload);

/// COM_QUERY, COM_STMT_PREPARE and COM_QUIT as whole packets.
std::string query_packet(std::string_view statement);
std::string prepare_packet(std::string_view statement);
std::string quit_packet();

/// Whether clients have to say of what types the parameters are: once for each statement.
enum class Types : uint8_t { sent, known };
/// COM_STMT_EXECUTE of a statement with one parameter, an INT, as a whole packet.
std::string execute_packet(uint32_t statement_id, int32_t parameter, Types types);

/// The id in the answer to COM_STMT_PREPARE, once all of its packets are in `bytes`.
std::optional<uint32_t> prepared_id(std::string_view bytes);

/// "code message" of an ERR packet.
std::string error_text(std::string_view payload);

/// Finds the end of a response to COM_QUERY or COM_STMT_EXECUTE in bytes as they arrive, cut
/// anywhere. Payload is skipped, not copied, so that large results cost the driver little.
class ResultReader {
 public:
  void begin();
  /// True when the response is complete. Bytes after its end are a protocol error.
  bool feed(std::span<const char> bytes);
  uint64_t packets() const { return packets_; }

 private:
  enum class Part : uint8_t { First, Columns, Rows, Done };

  void on_packet(unsigned char first, std::size_t length);

  Part part_ = Part::First;
  std::array<unsigned char, 5> head_{};  ///< packet header and the first byte of the payload
  std::size_t head_filled_ = 0;
  std::size_t to_skip_ = 0;
  uint64_t packets_ = 0;
};

}  // namespace sluice::bench
