// Follows a conversation after the login without touching it: where packets begin and end, which
// commands the client sent, and whether the server has answered all of them. What it says decides
// only when a session may be ended or moved; bytes are forwarded whatever it says. Where it can't
// follow (a command it does not know) it says "busy" for the rest, and breaks nothing.
//
// Plain data: a session's state carries it between processes.
#pragma once

#include <array>

#include "common/base/bytes.h"
#include "common/base/enum_names.h"
#include "common/ipc/codec.h"
#include "common/mysql/protocol.h"

namespace sluice::mysql {

using ipc::tag;

/// Cuts a stream into packets, a chunk at a time, keeping the first bytes of each.
struct PacketCutter {
  static constexpr std::size_t kHead =
      28;                     ///< header, and enough to read the status of an OK packet
  uint32_t left = 0;          ///< bytes of the present packet that are still to come
  uint8_t head_size = 0;      ///< bytes in `head`; a packet's first bytes, when they came in pieces
  bool continuation = false;  ///< the present packet continues a 16 MiB one
  std::array<std::byte, kHead> head{};
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.left), tag<2>(m.head_size), tag<3>(m.continuation), tag<4>(m.head));
  }
};

/// What the server is expected to send next.
enum class Expect : uint8_t {
  nothing,      ///< it has answered everything: a command boundary
  first,        ///< first packet of an answer
  columns,      ///< definitions of columns
  columns_end,  ///< the EOF behind them
  rows,
  parameters,  ///< of a prepared statement
  parameters_end,
  file,     ///< the client sends a file (LOCAL INFILE), then comes an OK
  endless,  ///< a replication stream up to its error, or something unknown: never a boundary again
};

/// Where Conversation::walk() stopped, and why.
struct Walk {
  enum class Why : uint8_t {
    all,            ///< everything was taken
    answered,       ///< the command's answer is over
    session_state,  ///< next is a whole OK packet that tells of changes in the session
    incomplete,     ///< next is a packet that has to be seen whole
  };
  std::size_t taken = 0;
  Why why = Why::all;
};

struct Conversation {
  static constexpr std::size_t kMaxPending = 12;
  uint64_t capabilities = 0;  ///< of the session: they shape the answers
  PacketCutter client, server;
  Expect expect = Expect::nothing;
  uint8_t command = 0;          ///< whose answer is awaited
  uint8_t client_sequence = 0;  ///< of the client's last packet
  uint8_t server_sequence =
      0;  ///< of the last packet of either side: the server's next is one more
  uint32_t columns_left = 0, columns_next = 0;
  uint8_t pending_count = 0;  ///< commands behind the present one (pipelining)
  std::array<std::byte, kMaxPending> pending{};
  uint64_t commands = 0;   ///< how many the client has sent
  uint16_t status = 0;     ///< flags of the last OK or EOF packet
  uint16_t warnings = 0;   ///< that it counted
  bool rows = false;       ///< the last answer had a result set
  bool columns = false;    ///< and told the columns of one
  bool insert_id = false;  ///< and told of a last insert id
  uint16_t error = 0;      ///< that ended the last answer; 0: none
  bool cursor = false;     ///< the command asked for one: its rows may come later
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.capabilities), tag<2>(m.client), tag<3>(m.server), tag<4>(m.expect),
                      tag<5>(m.command), tag<6>(m.client_sequence), tag<7>(m.server_sequence),
                      tag<8>(m.columns_left), tag<9>(m.columns_next), tag<10>(m.pending_count),
                      tag<11>(m.pending), tag<12>(m.commands), tag<13>(m.status), tag<14>(m.error),
                      tag<15>(m.cursor), tag<16>(m.warnings), tag<17>(m.rows), tag<18>(m.columns),
                      tag<19>(m.insert_id));
  }

  /// The client sent these bytes. Returns how many were taken: all, unless a COM_CHANGE_USER is
  /// among them, which is not a matter of counting packets. It stops in front of that, and in front
  /// of what is too short to tell.
  std::size_t from_client(ByteSpan bytes);
  /// The server sent these bytes.
  void from_server(ByteSpan bytes);

  /// For whoever sends one command at a time. What belongs to the command under way, or, if there
  /// is none, to the first one in `bytes`: that much is taken.
  std::size_t one_command(ByteSpan bytes);
  /// A whole command was sent, and nothing is under way.
  void sent(Command sent_command);
  /// Like from_server(), but stops where the answer is over, and in front of packets that have to
  /// be seen whole: errors, and those with news of the session.
  Walk walk(ByteSpan bytes);
  /// The command under way is to be sent anew, elsewhere: as if it had not been sent.
  void take_back();

  /// All commands are answered, no packet is cut in the middle: nothing is under way.
  bool at_boundary() const {
    return expect == Expect::nothing && between_client_packets() && between_server_packets();
  }
  /// Nothing of a command is still to come from the client.
  bool between_client_packets() const {
    return client.left == 0 && client.head_size == 0 && !client.continuation;
  }
  /// The server waits for the client: the rest of a packet or of a file, an answer to its question.
  bool client_owes() const { return expect == Expect::file || !between_client_packets(); }
  /// An ERR packet could stand here instead of what the server would send next.
  bool between_server_packets() const { return server.left == 0 && server.head_size == 0; }

 private:
  bool is_command(ByteSpan header) const;
  /// Whether the command is for a replication stream, which an error ends.
  bool streams() const;
  bool must_be_whole(ByteSpan packet, uint32_t length) const;
  void client_packet(ByteSpan head, uint32_t length);
  void client_command(uint8_t command_byte);
  void begin(uint8_t command_byte);
  void answered();
  void answer_packet(ByteSpan head, uint32_t length);
  void server_packet(ByteSpan body, uint32_t length);
  void first_packet(ByteSpan body, uint32_t length);
  void column_count(ByteSpan body);
  void prepared(ByteSpan body);
  void definitions_end(uint16_t flags);
  void take_ending(ByteSpan body, uint32_t length);
  void result_end(ByteSpan body, uint32_t length);
};

}  // namespace sluice::mysql

namespace sluice {
template <>
inline constexpr auto kEnumNames<mysql::Expect> = names("nothing", "first", "columns",
                                                        "columns_end", "rows", "parameters",
                                                        "parameters_end", "file", "endless");
}  // namespace sluice
