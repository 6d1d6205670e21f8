// Whose account a client gets. A client on loopback or on a Unix socket reaches the server from
// this host's own address, and the server judges it by exactly that: nothing of ours is in the way.
// Any other client would have been judged by its own address; where the server sees ours instead,
// the two must come to the same account, or the client is refused (DESIGN 7). And what an account
// demands of TLS it demands of the client's leg, of which the server knows nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/accounts/match.h"
#include "common/config/config.h"
#include "worker/auth/native.h"
#include "worker/session/state.h"

namespace sluice::worker {

/// Whether the address by which the client is to be judged is its own, and not the one from which
/// this host connects to servers. `client_ip` is empty for a Unix socket.
bool judged_by_own_address(const config::Service& service, std::string_view client_ip);

/// A login as the tables have to be asked about it.
struct ClientIdentity {
  std::string user;
  accounts::Peer as_itself;  ///< the client, as it would be judged without sluice
  accounts::Peer as_seen;    ///< as the server will judge it
  accounts::ClientTls tls;
};
/// What an account can demand of the client's leg. Views live as long as the state.
accounts::ClientTls client_tls_of(const SessionState& s);

struct Judgement {
  enum class Verdict : uint8_t {
    same,     ///< the server will pick the client's own account
    other,    ///< it would pick another one, or give other privileges
    unknown,  ///< the client has no account
    no_host,  ///< nobody has, from where it comes
    absent,   ///< the tables don't know it; the server sees what we see, and decides
    tls,      ///< the account demands more of the client's TLS than there is
  };
  Verdict verdict = Verdict::same;
  std::string reason{};                   ///< for the operator; empty for `same`
  std::optional<std::string> own_hash{};  ///< of the client's account by mysql_native_password
  bool tolerable = false;  ///< of `other`: the client's TLS is what that account demands
};
Judgement judge(const accounts::Table& table, const ClientIdentity& client);

/// Whether the answer of the client (login->answer) proves the password of the account that
/// `judgement` is about. False also where that can't be known here.
bool proves_account(const SessionState& s, const Judgement& judgement);

/// "'app'@'10.0.0.5'", as servers write it in their errors.
std::string quoted_account(std::string_view user, std::string_view host);

/// SHA1(password) of one of the user's accounts with mysql_native_password, if the response proves
/// it for that scramble.
std::optional<Sha1> native_proof_of(const accounts::Table& table, std::string_view user,
                                    ByteSpan scramble, ByteSpan response);

}  // namespace sluice::worker
