// A session is data: all that a live client connection is, as values. Session::restore() builds the
// rest (watches, timers) from it, at a normal start too, so it can be written in one process and go
// on in another. Memory counts here: thousands of sessions are idle.
#pragma once

#include <memory>
#include <string>

#include "common/base/enum_names.h"
#include "common/ipc/codec.h"
#include "common/mysql/conversation.h"

namespace sluice::worker {

using ipc::tag;

enum class Side : uint8_t { client, server };
constexpr Side other(Side side) {
  return side == Side::client ? Side::server : Side::client;
}

enum class Phase : uint8_t {
  waiting,     ///< accepted; nothing is known of the cluster yet
  connecting,  ///< a server was chosen: connecting, up to its greeting
  greeted,     ///< the client has the server's greeting, its answer is awaited
  judging,     ///< its answer is here, its account is looked up; the server has not got it yet
  proving,     ///< client and server settle the proof between them; the server decides
  relaying,    ///< logged in
  ending,      ///< logged in; to be ended at the next command boundary, for `end`
  closing,     ///< everything is said; only unsent bytes and the client's close are awaited
  over,        ///< to be deleted
};

/// An error for the client, kept until it can be sent.
struct End {
  uint16_t number = 0;
  std::string sql_state;
  std::string message;
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.number), tag<2>(m.sql_state), tag<3>(m.message));
  }
};

/// What only the login needs; gone once the client has its OK.
struct Login {
  std::vector<std::string> tried;  ///< servers that could not be reached for this session
  Bytes from_client, from_server;  ///< a packet that has not arrived whole
  std::string last_failure;        ///< why the last one tried failed, for the client
  uint64_t accounts_version = 0;   ///< of the tables that found no account; 0: not asked yet
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.tried), tag<2>(m.from_client), tag<3>(m.from_server),
                      tag<4>(m.last_failure), tag<5>(m.accounts_version));
  }
};

struct SessionState {
  uint64_t id = 0;
  Phase phase = Phase::waiting;
  std::string service;
  std::string server;     ///< that it is connected to, by name; empty while there is none
  std::string client_ip;  ///< empty: a Unix socket
  uint16_t client_port = 0;
  std::string outgoing_ip;     ///< address that the server sees us at, where it matters (`judged`)
  std::string user, database;  ///< as the client named them at its login
  uint32_t server_connection_id = 0;  ///< the client knows it as its own
  int64_t accepted_ns = 0;
  int64_t active_ns = 0;                 ///< when a byte last came from either side
  int64_t deadline_ns = 0;               ///< of the phase; 0: none
  uint64_t bytes_in = 0, bytes_out = 0;  ///< from the client, to the client
  mysql::Conversation conversation;
  bool judged = false;  ///< its account depends on our own lookup, at COM_CHANGE_USER too
  std::unique_ptr<Login> login;
  std::unique_ptr<End> end;
  Bytes held;                    ///< of a client's command that has to be whole before it goes on
  bool awaits_accounts = false;  ///< `held` is a COM_CHANGE_USER to an account not known yet
  Bytes unsent_to_client, unsent_to_server;

  // Wire tags are for ever: add at the end, never reuse one.
  static auto fields(auto& m) {
    return std::tuple(
        tag<1>(m.id), tag<2>(m.phase), tag<3>(m.service), tag<4>(m.server), tag<5>(m.client_ip),
        tag<6>(m.client_port), tag<7>(m.user), tag<8>(m.database), tag<9>(m.accepted_ns),
        tag<10>(m.active_ns), tag<11>(m.deadline_ns), tag<12>(m.bytes_in), tag<13>(m.bytes_out),
        tag<14>(m.conversation), tag<15>(m.judged), tag<16>(m.login), tag<17>(m.end),
        tag<18>(m.held), tag<19>(m.unsent_to_client), tag<20>(m.unsent_to_server),
        tag<21>(m.outgoing_ip), tag<22>(m.server_connection_id), tag<23>(m.awaits_accounts));
  }
};
static_assert(ipc::complete<SessionState>(),
              "a member has no wire tag, or is of a type that can't cross processes");

}  // namespace sluice::worker

namespace sluice {
template <>
inline constexpr auto kEnumNames<worker::Side> = names("client", "server");
template <>
inline constexpr auto kEnumNames<worker::Phase> = names("waiting", "connecting", "greeted",
                                                        "judging", "proving", "relaying", "ending",
                                                        "closing", "over");
}  // namespace sluice
