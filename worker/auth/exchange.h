// The proof that client and server settle between them, packet by packet. The server judges; what
// passes here is mostly handed on as it is. Where it can't be, because one leg is encrypted and the
// other is not, the password that the client gave is put into the form that the server expects on
// its leg. A plugin that sends passwords as they are gets no further than an unencrypted leg.
//
// Pure: payloads without headers in, one payload out.
#pragma once

#include <optional>
#include <string_view>

#include "common/base/secret.h"
#include "worker/session/state.h"
#include "worker/tls/rsa.h"

namespace sluice::worker {

/// What the exchange has to know of the two legs.
struct Legs {
  bool client_encrypted = false;                                  ///< by TLS
  bool client_local = false;                                      ///< a Unix socket
  bool server_encrypted = false;                                  ///< by TLS
  bool server_local = false;                                      ///< a Unix socket
  bool client_may_be_clear = false, server_may_be_clear = false;  ///< clear_passwords = "anywhere"
  bool believes_server_key = false;                               ///< public_key_retrieval
  bool many_factors = false;             ///< both sides know MySQL's further factors
  const tls::RsaKey* own_key = nullptr;  ///< for clients that encrypt their password themselves
  bool keeps_password = false;           ///< one that passes is wanted for further servers
  bool asks_password = false;  ///< and the client may be asked for it, where the server is content

  /// Nobody can listen in.
  bool client_secure() const { return client_encrypted || client_local; }
  bool server_secure() const { return server_encrypted || server_local; }
  /// Whether a password may come, and go on, as it is.
  bool clear_to_us() const { return client_secure() || client_may_be_clear; }
  bool clear_to_server() const { return server_secure() || server_may_be_clear; }
};

/// What becomes of a payload.
struct Turn {
  enum class Verdict : uint8_t { open, accepted, refused };
  Side to{};
  Bytes payload;
  Verdict verdict = Verdict::open;  ///< the server's
  bool for_us = false;              ///< nothing is handed on: the client has answered sluice
};
/// Errors are for the client: sluice ends the exchange with them.
using TurnResult = tl::expected<Turn, End>;

/// The client's first word: `response` in its HandshakeResponse41 or COM_CHANGE_USER is its proof
/// for `plugin` and the server's `scramble`. A turn to the server is the response that its packet
/// is to carry. A turn to the client (our key) comes first; then the packet waits for the next one.
TurnResult begin_exchange(Exchange& x, const Legs& legs, std::string_view plugin, ByteSpan scramble,
                          ByteSpan response);
/// Whether sluice waits for the client, and what the server says meanwhile is to be kept for later.
bool awaits_client(const Exchange& x);
/// `payload` must not be empty.
TurnResult exchange_from_server(Exchange& x, const Legs& legs, ByteSpan payload);
/// May be empty: a client without a password.
TurnResult exchange_from_client(Exchange& x, const Legs& legs, ByteSpan payload);

/// Length of every proof of a plugin; none if they differ, or the plugin isn't known. Another
/// length is a fault of the protocol to the server, which it counts against the host it comes from
/// (MariaDB sql/sql_acl.cc native_password_authenticate, CR_AUTH_HANDSHAKE).
std::optional<std::size_t> proof_size(std::string_view plugin);

}  // namespace sluice::worker
