#include "worker/auth/own_proof.h"

#include <algorithm>

#include "common/mysql/packets.h"
#include "worker/auth/native.h"
#include "worker/auth/sha2.h"
#include "worker/tls/rsa.h"

namespace sluice::worker {
namespace {

using Verdict = OwnTurn::Verdict;

constexpr std::string_view kNative = "mysql_native_password", kSha2 = "caching_sha2_password",
                           kSha256 = "sha256_password";
constexpr uint8_t kOk = 0x00, kMoreData = 0x01, kSwitch = 0xFE;
constexpr uint8_t kFastSuccess = 0x03, kFullAuthentication = 0x04;
constexpr std::byte kSha2AskKey{0x02}, kSha256AskKey{0x01};

template <class Hash>
Bytes bytes_of(const std::optional<Hash>& hash) {
  return hash ? Bytes(hash->begin(), hash->end()) : Bytes{};
}

Bytes native(const OwnProof& proof, const AccountSecret& secret) {
  if (!secret.sha1.empty())
    return bytes_of(native_response(as_bytes(secret.sha1.reveal()), proof.scramble));
  return secret.password.empty() ? Bytes{}
                                 : bytes_of(native_response_of(secret.password, proof.scramble));
}

Bytes as_it_is(const Secret& password) {
  const auto text = as_bytes(password.reveal());
  Bytes out(text.begin(), text.end());
  out.push_back(std::byte{0});
  return out;
}

OwnTurn say(Bytes payload) {
  return {Verdict::open, std::move(payload)};
}
OwnTurn failed(std::string why) {
  return {Verdict::failed, std::nullopt, std::move(why)};
}

/// The server wants the password. One that can't be sent is given up with a word that the server
/// refuses: a login that just ends would count towards its max_connect_errors.
OwnTurn password_wanted(OwnProof& proof, const AccountSecret& secret, const OwnLeg& leg) {
  if (!secret.password.empty() && leg.secure) return say(as_it_is(secret.password));
  if (!secret.password.empty() && leg.believes_key) {
    proof.key_due = true;
    return say({proof.plugin == kSha256 ? kSha256AskKey : kSha2AskKey});
  }
  proof.given_up = secret.password.empty()
                       ? "it wants the password, which is not known to sluice"
                       : "it wants the password itself, which needs TLS to it ([cluster] tls), or "
                         "public_key_retrieval = true";
  return say({std::byte{0}});
}

OwnTurn with_key(OwnProof& proof, const AccountSecret& secret, ByteSpan pem) {
  proof.key_due = false;
  mysql::Scramble scramble{};
  std::copy_n(proof.scramble.begin(), std::min(proof.scramble.size(), scramble.size()),
              scramble.begin());
  auto encrypted = tls::encrypt_password(as_text(pem), secret.password, scramble);
  if (!encrypted) return failed("its public key: " + encrypted.error().message);
  return say(std::move(*encrypted));
}

OwnTurn switched(OwnProof& proof, const AccountSecret& secret, const OwnLeg& leg,
                 ByteSpan payload) {
  const auto wanted = mysql::parse_auth_switch(payload);
  if (!wanted) return failed("malformed switch of the plugin");
  proof.plugin = wanted->plugin;
  proof.scramble.assign(wanted->data.begin(), wanted->data.end());
  proof.key_due = false;
  if (proof.plugin == kNative || proof.plugin == kSha2)
    return say(own_response(proof, secret, leg));
  if (proof.plugin == kSha256) return password_wanted(proof, secret, leg);
  return failed("it wants a proof by " + proof.plugin);
}

}  // namespace

Bytes own_response(const OwnProof& proof, const AccountSecret& secret, const OwnLeg& leg) {
  if (proof.plugin == kNative) return native(proof, secret);
  if (secret.password.empty()) return {};
  if (proof.plugin == kSha2) return bytes_of(sha2_response(secret.password, proof.scramble));
  return proof.plugin == kSha256 && leg.secure ? as_it_is(secret.password) : Bytes{};
}

OwnTurn own_turn(OwnProof& proof, const AccountSecret& secret, const OwnLeg& leg,
                 ByteSpan payload) {
  const auto first = payload.empty() ? kOk : static_cast<uint8_t>(payload[0]);
  const auto second = payload.size() == 2 ? static_cast<uint8_t>(payload[1]) : 0;
  if (first == kOk && mysql::is_ok(payload)) return {Verdict::accepted};
  if (first == kSwitch) return switched(proof, secret, leg, payload);
  if (first == kMoreData && proof.key_due) return with_key(proof, secret, payload.subspan(1));
  if (first == kMoreData && proof.plugin == kSha2) {
    if (second == kFastSuccess) return {};
    if (second == kFullAuthentication && proof.given_up.empty())
      return password_wanted(proof, secret, leg);
  }
  if (!proof.given_up.empty()) return failed(proof.given_up);
  const auto error = mysql::parse_error(payload);
  return failed(error ? std::string(error->message) : "it wants another proof");
}

}  // namespace sluice::worker
