// A session is data: all that a live client connection is, as values. Session::restore() builds the
// rest (watches, timers) from it, at a normal start too, so it can be written in one process and go
// on in another. Memory counts here: thousands of sessions are idle.
#pragma once

#include <memory>
#include <string>

#include "common/base/enum_names.h"
#include "common/ipc/codec.h"
#include "common/mysql/conversation.h"
#include "common/mysql/frames.h"
#include "worker/session/leg.h"
#include "worker/split/state.h"

namespace sluice::worker {

using ipc::tag;

enum class Phase : uint8_t {
  announced,        ///< accepted from a network whose PROXY header comes first
  waiting,          ///< accepted; nothing is known of the cluster yet
  connecting,       ///< a server was chosen: connecting, up to its greeting
  greeted,          ///< the client has the server's greeting, its answer is awaited
  securing_client,  ///< it asked for TLS
  slowed,           ///< its address failed to log in often: its turn is awaited
  judging,          ///< its answer is here, its account is looked up; the server has not got it yet
  securing_server,  ///< the server was asked for TLS
  proving,          ///< client and server settle the proof between them; the server decides
  refusing,         ///< the server has refused; the client will hear it in a moment
  relaying,         ///< logged in
  ending,           ///< logged in; to be ended at the next command boundary, for `end`
  closing,          ///< everything is said; only unsent bytes and the client's close are awaited
  over,             ///< to be deleted
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

/// Where the exchange of a proof is (worker/auth/exchange.h).
enum class ProofStep : uint8_t {
  relayed,           ///< what either says goes to the other
  password_due,      ///< of the client: as it is or encrypted, or it asks for a key first
  key_due,           ///< of the server: the client's password waits to be encrypted with it
  own_key_given,     ///< to the client: its encrypted password is due
  reply_due,         ///< of the client, whom the server has asked anew
  server_key_asked,  ///< by the client: its password, encrypted with that key, is due
  password_for_us,   ///< of the client, due: the server did without it
  encrypted_for_us,  ///< the same, encrypted with our key
};

struct Exchange {
  ProofStep step = ProofStep::relayed;
  std::string plugin;
  Bytes scramble;       ///< the server's, of this plugin
  Bytes response;       ///< the client's last word that was handed on as it is
  Secret password;      ///< only while the server's key is due
  uint8_t rounds = 0;   ///< packets of the server
  bool doomed = false;  ///< it may not succeed, and nobody shall see that before its end
  Secret known;         ///< the password, where it is wanted for further servers and was seen
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.step), tag<2>(m.plugin), tag<3>(m.scramble), tag<4>(m.password),
                      tag<5>(m.rounds), tag<6>(m.doomed), tag<7>(m.response), tag<8>(m.known));
  }
};

/// What only a login needs, or a COM_CHANGE_USER; gone once the client has its OK.
struct Login {
  bool change_user = false;
  std::vector<std::string> tried;  ///< servers that could not be reached for this session
  Bytes from_client, from_server;  ///< a packet that has not arrived whole
  std::string last_failure;        ///< why the last one tried failed, for the client
  Bytes answer;  ///< payload of the client's answer, till the server gets it; then of its refusal
  std::string user, database, plugin;  ///< as the answer has them
  bool with_password = false;          ///< the answer has a proof in it
  bool compresses = false;             ///< packets are to be compressed behind it
  uint64_t server_capabilities = 0;    ///< of its greeting
  /// Numbers of the last packet on either leg; to the client's answer its own is given in advance.
  uint8_t client_sequence = 0, server_sequence = 0;
  Bytes scramble;        ///< of the server's greeting
  int64_t asked_ns = 0;  ///< when the tables were asked to be read again; 0: they were not
  Exchange exchange;
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.change_user), tag<2>(m.tried), tag<3>(m.from_client),
                      tag<4>(m.from_server), tag<5>(m.last_failure), tag<6>(m.answer),
                      tag<7>(m.user), tag<8>(m.database), tag<9>(m.plugin),
                      tag<10>(m.with_password), tag<11>(m.server_capabilities),
                      tag<12>(m.client_sequence), tag<13>(m.server_sequence), tag<14>(m.scramble),
                      tag<15>(m.asked_ns), tag<16>(m.exchange), tag<17>(m.compresses));
  }
};

struct SessionState {
  uint64_t id = 0;
  Phase phase = Phase::waiting;
  std::string service;
  ServerLeg home;           ///< the server that the client logged in to
  uint32_t told_id = 0;     ///< the connection id in the greeting that the client saw
  std::string told_server;  ///< of which server that was
  std::string client_ip;    ///< by which the client is judged; empty: a Unix socket
  uint16_t client_port = 0;
  std::string outgoing_ip;     ///< address that the server sees us at, where it matters
  std::string user, database;  ///< as the client named them at its login
  int64_t accepted_ns = 0;
  int64_t active_ns = 0;                 ///< when a byte last came from either side
  int64_t deadline_ns = 0;               ///< of the phase; 0: none. See deadline_of()
  uint64_t bytes_in = 0, bytes_out = 0;  ///< from the client, to the client
  mysql::Conversation conversation;
  std::unique_ptr<Login> login;
  std::unique_ptr<End> end;
  std::unique_ptr<tls::Info> client_tls;  ///< where it is encrypted
  Bytes held;  ///< of the client: a COM_CHANGE_USER and what follows it, till its turn comes
  Bytes unsent_to_client;                 ///< as they go into the socket
  std::unique_ptr<split::Split> split;    ///< where statements are split between servers
  std::unique_ptr<mysql::Frames> frames;  ///< where the client speaks the compressed protocol

  // Wire tags are for ever: add at the end, never reuse one.
  static auto fields(auto& m) {
    return std::tuple(
        tag<1>(m.id), tag<2>(m.phase), tag<3>(m.service), tag<4>(m.home), tag<5>(m.client_ip),
        tag<6>(m.client_port), tag<7>(m.user), tag<8>(m.database), tag<9>(m.accepted_ns),
        tag<10>(m.active_ns), tag<11>(m.deadline_ns), tag<12>(m.bytes_in), tag<13>(m.bytes_out),
        tag<14>(m.conversation), tag<15>(m.login), tag<16>(m.end), tag<17>(m.client_tls),
        tag<18>(m.held), tag<19>(m.unsent_to_client), tag<20>(m.outgoing_ip), tag<21>(m.split),
        tag<22>(m.told_id), tag<23>(m.told_server), tag<24>(m.frames));
  }
};

}  // namespace sluice::worker

namespace sluice {
template <>
inline constexpr auto kEnumNames<worker::Phase> = names("announced", "waiting", "connecting",
                                                        "greeted", "securing client", "slowed",
                                                        "judging", "securing server", "proving",
                                                        "refusing", "relaying", "ending", "closing",
                                                        "over");
template <>
inline constexpr auto kEnumNames<worker::ProofStep> = names("relayed", "password due", "key due",
                                                            "own key given", "reply due",
                                                            "server key asked", "password for us",
                                                            "encrypted for us");

// The way through bytes is compiled once, in state.cc.
extern template Bytes ipc::encode(const worker::SessionState&);
extern template Parsed<worker::SessionState> ipc::decode(ByteSpan);
}  // namespace sluice
