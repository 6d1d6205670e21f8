// The proof that sluice makes by itself, of an account whose client has proved it to another server
// before: the client's part of the plugins whose secret can be known here. Pure: payloads without
// headers in, one payload out.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/secret.h"
#include "common/ipc/codec.h"

namespace sluice::worker {

/// What is known of an account: the password, or SHA1 of it, or that there is none.
struct AccountSecret {
  Secret sha1, password;
  static auto fields(auto& m) {
    using ipc::tag;
    return std::tuple(tag<1>(m.sha1), tag<2>(m.password));
  }
  bool operator==(const AccountSecret&) const = default;
};

/// Where such a proof is.
struct OwnProof {
  std::string plugin;
  Bytes scramble;
  bool key_due = false;  ///< of the server, to encrypt the password with
  std::string given_up;  ///< why the password was not sent, though the server wants it
  static auto fields(auto& m) {
    using ipc::tag;
    return std::tuple(tag<1>(m.plugin), tag<2>(m.scramble), tag<3>(m.key_due), tag<4>(m.given_up));
  }
};

/// The way to the server.
struct OwnLeg {
  bool secure = false;        ///< nobody can listen in: the password may be said as it is
  bool believes_key = false;  ///< public_key_retrieval
};

/// What the answer to the greeting has to prove itself with; empty where that is not possible, or
/// there is no password.
Bytes own_response(const OwnProof& proof, const AccountSecret& secret, const OwnLeg& leg);

struct OwnTurn {
  enum class Verdict : uint8_t { open, accepted, failed };
  Verdict verdict = Verdict::open;
  std::optional<Bytes> say{};  ///< to the server; whoever has sent it wipes it
  std::string why{};           ///< it failed
};
OwnTurn own_turn(OwnProof& proof, const AccountSecret& secret, const OwnLeg& leg, ByteSpan payload);

}  // namespace sluice::worker
