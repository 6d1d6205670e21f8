// Whose account a client gets. A client on loopback or on a Unix socket reaches the server from
// this host's own address, and the server judges it by exactly that: nothing of ours is in the way.
// Any other client would have been judged by its own address; since the server sees ours instead,
// the two must come to the same account, or the client is refused (DESIGN 7).
#pragma once

#include <string>
#include <string_view>

#include "common/accounts/table.h"
#include "common/config/config.h"

namespace sluice::worker {

/// Whether the account that the server will pick has to be compared with the client's own.
/// `client_ip` is empty for a Unix socket.
bool needs_judging(const config::Service& service, std::string_view client_ip);

struct Judgement {
  enum class Verdict : uint8_t {
    same,     ///< the server will pick the client's own account
    other,    ///< it would pick another one
    unknown,  ///< the client has no account: perhaps a very new one
  };
  Verdict verdict;
  std::string reason;  ///< for the client and the log; empty for `same`
};

/// `outgoing_ip`: the address that the server sees; empty for a Unix socket.
Judgement judge(const accounts::Table& table, std::string_view user, std::string_view client_ip,
                std::string_view outgoing_ip);

/// "'app'@'10.0.0.5'", as servers write it in their errors.
std::string quoted_account(std::string_view user, std::string_view host);

}  // namespace sluice::worker
