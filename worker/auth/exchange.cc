#include "worker/auth/exchange.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/mysql/packets.h"
#include "worker/auth/sha2.h"

namespace sluice::worker {
namespace {

using P = ProofStep;
using Verdict = Turn::Verdict;

// A PAM stack may ask much, but not for ever.
constexpr uint8_t kMaxRounds = 64;

constexpr uint8_t kOk = 0x00, kMoreData = 0x01, kNextFactor = 0x02, kAuthSwitch = 0xFE, kErr = 0xFF;
// caching_sha2_password, MySQL sql/auth/sha2_password_common.h: what the server says behind
// kMoreData, and what a client asks for the key with.
constexpr uint8_t kFastSuccess = 0x03, kFullAuthentication = 0x04;
constexpr uint8_t kSha2AskKey = 0x02, kSha256AskKey = 0x01;

enum class Family : uint8_t {
  opaque,        ///< handed on as it is
  caching_sha2,  ///< a fast way, and a full one that wants the password
  sha256,        ///< wants the password at once
  clear,         ///< sends what the user types as it is
  too_old,       ///< breakable by whoever listens
};

Family family_of(std::string_view plugin) {
  if (plugin == "caching_sha2_password") return Family::caching_sha2;
  if (plugin == "sha256_password") return Family::sha256;
  if (plugin == "mysql_clear_password" || plugin == "dialog" ||
      plugin == "authentication_openid_connect_client")
    return Family::clear;
  if (plugin == "mysql_old_password" || plugin.empty()) return Family::too_old;
  return Family::opaque;
}

/// What a message means to the two plugins that want a password.
enum class Word : uint8_t {
  wants_password,  ///< of the server
  key,             ///< of the server: its public key
  asks_key,        ///< of the client
  password,        ///< of the client, as it is
  encrypted,       ///< of the client, with RSA
  nothing,         ///< of the client: it has no password
};
enum class Act : uint8_t {
  hand_on,
  keep_and_ask_key,     ///< the password waits while the server's key is asked for
  encrypt_for_server,   ///< with the key that came
  give_own_key,         ///< to the client
  decrypt_for_server,   ///< what the client encrypted with it
  decrypt_and_ask_key,  ///< the same, and it waits while the server's key is asked for
  refuse_encrypted,     ///< with a key that is not ours
};
struct Rule {
  ProofStep from;
  Word word;
  bool server_secure;
  ProofStep to;
  Act act;
};
// clang-format off
constexpr Rule kRules[] = {
    {P::relayed,          Word::wants_password, false, P::password_due,     Act::hand_on},
    {P::relayed,          Word::wants_password, true,  P::password_due,     Act::hand_on},
    {P::password_due,     Word::password,       true,  P::relayed,          Act::hand_on},
    {P::password_due,     Word::password,       false, P::key_due,          Act::keep_and_ask_key},
    {P::key_due,          Word::key,            false, P::relayed,          Act::encrypt_for_server},
    {P::password_due,     Word::asks_key,       false, P::server_key_asked, Act::hand_on},
    {P::server_key_asked, Word::encrypted,      false, P::relayed,          Act::hand_on},
    {P::password_due,     Word::asks_key,       true,  P::own_key_given,    Act::give_own_key},
    {P::own_key_given,    Word::encrypted,      true,  P::relayed,          Act::decrypt_for_server},
    {P::own_key_given,    Word::encrypted,      false, P::key_due,          Act::decrypt_and_ask_key},
    {P::password_due,     Word::encrypted,      false, P::relayed,          Act::hand_on},
    {P::password_due,     Word::encrypted,      true,  P::relayed,          Act::refuse_encrypted},
    {P::password_due,     Word::nothing,        false, P::relayed,          Act::hand_on},
    {P::password_due,     Word::nothing,        true,  P::relayed,          Act::hand_on},
};
// clang-format on

const Rule* find_rule(ProofStep from, Word word, bool server_secure) {
  const auto found = std::ranges::find_if(kRules, [&](const Rule& rule) {
    return rule.from == from && rule.word == word && rule.server_secure == server_secure;
  });
  return found == std::end(kRules) ? nullptr : found;
}

End refusal(std::string why) {
  return {mysql::kHandshakeError, "08S01", "sluice: " + std::move(why)};
}
tl::unexpected<End> refuse(std::string why) {
  return tl::unexpected(refusal(std::move(why)));
}

uint8_t first(ByteSpan payload) {
  return static_cast<uint8_t>(payload[0]);
}

Bytes copy(ByteSpan bytes) {
  return {bytes.begin(), bytes.end()};
}

/// A proof that can't be right whatever it was for; its form stays, and so the server's course.
Bytes spoiled(ByteSpan proof) {
  if (proof.empty()) return Bytes(mysql::kScrambleSize, std::byte{0x5A});
  Bytes out = copy(proof);
  const std::size_t end =
      out.back() == std::byte{0} && out.size() > 1 ? out.size() - 1 : out.size();
  for (std::size_t i = 0; i < end; ++i) out[i] ^= std::byte{0x80};
  return out;
}

/// What is not of the plugin's length becomes a wrong proof that is.
Bytes fitting(std::string_view plugin, ByteSpan proof) {
  const auto size = proof_size(plugin);
  return size && !proof.empty() && proof.size() != *size ? Bytes(*size) : copy(proof);
}

/// Takes the password out of its NUL-terminated form.
Secret password_of(ByteSpan payload) {
  if (!payload.empty() && payload.back() == std::byte{0})
    payload = payload.first(payload.size() - 1);
  return Secret(std::string(as_text(payload)));
}

Bytes with_nul(const Secret& password) {
  Bytes out = copy(as_bytes(password.reveal()));
  out.push_back(std::byte{0});
  return out;
}

mysql::Scramble scramble_of(const Exchange& x) {
  mysql::Scramble out{};
  std::copy_n(x.scramble.begin(), std::min(x.scramble.size(), out.size()), out.begin());
  return out;
}

/// Takes up a plugin; refuses it where its secrets would be readable on the way.
std::optional<End> take_up(Exchange& x, const Legs& legs, std::string_view plugin,
                           ByteSpan scramble) {
  x.plugin = plugin;
  x.scramble = copy(scramble);
  x.password = x.known = {};
  const auto family = family_of(plugin);
  x.step = family == Family::sha256 ? P::password_due : P::reply_due;
  if (family == Family::too_old) return refusal("the server wants a proof of before MySQL 4.1");
  if (family != Family::clear) return std::nullopt;
  if (!legs.clear_to_us())
    return refusal(
        fmt::format("plugin {} would send the password over a connection without TLS; "
                    "use TLS, a Unix socket, or clear_passwords of the service",
                    plugin));
  if (!legs.clear_to_server())
    return refusal(
        fmt::format("plugin {} would send the password to the server without TLS; set "
                    "tls or clear_passwords of the cluster",
                    plugin));
  return std::nullopt;
}

/// What the client said, when its password is due.
Word word_of_client(const Exchange& x, const Legs& legs, ByteSpan payload) {
  const auto ask = family_of(x.plugin) == Family::sha256 ? kSha256AskKey : kSha2AskKey;
  if (payload.size() == 1 && first(payload) == ask) return Word::asks_key;
  if (payload.empty() || (payload.size() == 1 && first(payload) == 0)) return Word::nothing;
  // libmariadb asks for a key over a Unix socket, too.
  const bool plain = x.step == P::password_due || x.step == P::password_for_us;
  return legs.client_secure() && plain ? Word::password : Word::encrypted;
}

std::optional<Word> word_of_server(const Exchange& x, ByteSpan payload) {
  if (first(payload) != kMoreData) return std::nullopt;
  if (x.step == P::key_due) return Word::key;
  const bool wants = family_of(x.plugin) == Family::caching_sha2 && payload.size() == 2 &&
                     static_cast<uint8_t>(payload[1]) == kFullAuthentication;
  return wants ? std::optional(Word::wants_password) : std::nullopt;
}

/// Keeps a password that passes.
void keep(Exchange& x, const Legs& legs, const Secret& password) {
  if (legs.keeps_password && !x.doomed) x.known = password;
}

/// Whether the server is content with the client's fast answer, and sluice is not: it wants to know
/// the password. The client is asked for it as a server does that has forgotten it. Only where it
/// can say it as it is: without TLS many clients would rather fail.
bool wants_more(const Exchange& x, const Legs& legs, ByteSpan payload) {
  const bool content = family_of(x.plugin) == Family::caching_sha2 && payload.size() == 2 &&
                       first(payload) == kMoreData &&
                       static_cast<uint8_t>(payload[1]) == kFastSuccess;
  return content && x.step == P::relayed && !x.doomed && legs.asks_password &&
         legs.client_secure() && legs.own_key != nullptr;
}

/// Asks the server for its key, if it may be believed.
TurnResult ask_key(Exchange& x, const Legs& legs, Secret password) {
  if (!legs.believes_server_key)
    return refuse(
        "the server wants the password itself, which needs TLS to it ([cluster] tls), or "
        "public_key_retrieval = true");
  x.password = std::move(password);
  keep(x, legs, x.password);
  const auto ask = family_of(x.plugin) == Family::sha256 ? kSha256AskKey : kSha2AskKey;
  return Turn{Side::server, {static_cast<std::byte>(ask)}};
}

TurnResult encrypt_for_server(Exchange& x, ByteSpan payload) {
  auto encrypted = tls::encrypt_password(as_text(payload.subspan(1)), x.password, scramble_of(x));
  x.password = {};
  if (!encrypted) return refuse("the server's public key: " + encrypted.error().message);
  return Turn{Side::server, std::move(*encrypted)};
}

TurnResult give_own_key(const Legs& legs) {
  if (legs.own_key == nullptr) return refuse("there is no key for passwords without TLS");
  Bytes key{static_cast<std::byte>(kMoreData)};
  ByteWriter(key).text(legs.own_key->public_pem());
  return Turn{Side::client, std::move(key)};
}

TurnResult decrypt_for_server(Exchange& x, const Legs& legs, ByteSpan payload) {
  auto password = legs.own_key->decrypt_password(payload, scramble_of(x));
  if (!password) return refuse("the encrypted password can't be read");
  keep(x, legs, *password);
  auto clear = with_nul(*password);
  return Turn{Side::server, x.doomed ? spoiled(clear) : std::move(clear)};
}

/// The client's answer to a question that its server did not ask: nothing but the login of further
/// servers depends on it.
TurnResult told_to_us(Exchange& x, const Legs& legs, ByteSpan payload) {
  const auto word = word_of_client(x, legs, payload);
  if (word == Word::asks_key && x.step == P::password_for_us) {
    x.step = P::encrypted_for_us;
    return give_own_key(legs);
  }
  const auto decrypted = word == Word::encrypted
                             ? legs.own_key->decrypt_password(payload, scramble_of(x))
                             : Result<Secret>(password_of(payload));
  if (decrypted && sha2_proves(*decrypted, x.scramble, x.response)) x.known = *decrypted;
  x.step = P::relayed;
  return Turn{.to = Side::server, .payload = {}, .for_us = true};
}

TurnResult decrypt_and_ask_key(Exchange& x, const Legs& legs, ByteSpan payload) {
  auto password = legs.own_key->decrypt_password(payload, scramble_of(x));
  if (!password) return refuse("the encrypted password can't be read");
  if (x.doomed) return ask_key(x, legs, password_of(spoiled(with_nul(*password))));
  return ask_key(x, legs, std::move(*password));
}

/// Whether the client, who asks for a key, gets ours though it could have the server's: its
/// password is wanted, and the operator has the server's key believed.
bool lends_own_key(const Exchange& x, const Legs& legs, Word word) {
  return word == Word::asks_key && x.step == P::password_due && !legs.server_secure() &&
         legs.keeps_password && legs.believes_server_key && legs.own_key != nullptr;
}

TurnResult apply(Exchange& x, const Legs& legs, Word word, Side from, ByteSpan payload) {
  if (lends_own_key(x, legs, word)) {
    x.step = P::own_key_given;
    return give_own_key(legs);
  }
  const auto* rule = find_rule(x.step, word, legs.server_secure());
  if (rule == nullptr) return refuse("the proof is out of order");
  x.step = rule->to;
  switch (rule->act) {
    case Act::hand_on:
      if (word == Word::password) keep(x, legs, password_of(payload));
      return Turn{other(from), copy(payload)};
    case Act::keep_and_ask_key:
      return ask_key(x, legs, password_of(payload));
    case Act::encrypt_for_server:
      return encrypt_for_server(x, payload);
    case Act::give_own_key:
      return give_own_key(legs);
    case Act::decrypt_for_server:
      return decrypt_for_server(x, legs, payload);
    case Act::decrypt_and_ask_key:
      return decrypt_and_ask_key(x, legs, payload);
    case Act::refuse_encrypted:
      break;
  }
  return refuse(
      "the password was encrypted with a key that is not this proxy's; let the client ask "
      "for the key, or use TLS");
}

/// The server wants another plugin, or one more.
TurnResult switch_plugin(Exchange& x, const Legs& legs, ByteSpan payload) {
  const auto wanted = mysql::parse_auth_switch(payload);
  if (!wanted) return refuse("malformed switch of the plugin");
  if (auto no = take_up(x, legs, wanted->plugin, wanted->data))
    return tl::unexpected(std::move(*no));
  return Turn{Side::client, copy(payload)};
}

/// Questions of `dialog` begin with the same byte.
bool asks_next_factor(const Exchange& x, const Legs& legs, ByteSpan payload) {
  return first(payload) == kNextFactor && legs.many_factors && x.plugin != "dialog";
}

}  // namespace

TurnResult begin_exchange(Exchange& x, const Legs& legs, std::string_view plugin, ByteSpan scramble,
                          ByteSpan response) {
  if (auto no = take_up(x, legs, plugin, scramble)) return tl::unexpected(std::move(*no));
  return exchange_from_client(x, legs, response);
}

bool awaits_client(const Exchange& x) {
  return x.step == P::password_for_us || x.step == P::encrypted_for_us;
}

TurnResult exchange_from_server(Exchange& x, const Legs& legs, ByteSpan payload) {
  if (awaits_client(x)) return refuse("the proof is out of order");
  if (++x.rounds > kMaxRounds) return refuse("the server asks without end");
  switch (first(payload)) {
    case kOk:
      if (!mysql::is_ok(payload)) return refuse("malformed OK of the server");
      if (x.step != P::relayed) return refuse("the server accepts what was not proved");
      return Turn{Side::client, copy(payload), x.doomed ? Verdict::refused : Verdict::accepted};
    case kErr:
      return Turn{Side::client, copy(payload), Verdict::refused};
    case kAuthSwitch:
      return switch_plugin(x, legs, payload);
    default:
      if (asks_next_factor(x, legs, payload)) return switch_plugin(x, legs, payload);
      if (wants_more(x, legs, payload)) {
        x.step = P::password_for_us;
        return Turn{Side::client, {std::byte{kMoreData}, std::byte{kFullAuthentication}}};
      }
      if (const auto word = word_of_server(x, payload))
        return apply(x, legs, *word, Side::server, payload);
      return Turn{Side::client, copy(payload)};
  }
}

TurnResult exchange_from_client(Exchange& x, const Legs& legs, ByteSpan payload) {
  if (awaits_client(x)) return told_to_us(x, legs, payload);
  if (x.step == P::relayed || x.step == P::reply_due) {
    x.step = P::relayed;
    x.response = copy(payload);
    auto said = fitting(x.plugin, payload);
    return Turn{Side::server, x.doomed ? spoiled(said) : std::move(said)};
  }
  const auto word = word_of_client(x, legs, payload);
  const bool secret = word == Word::password || word == Word::encrypted;
  const bool spoil = x.doomed && secret && x.step != P::own_key_given;
  const Bytes said = spoil ? spoiled(payload) : copy(payload);
  return apply(x, legs, word, Side::client, said);
}

std::optional<std::size_t> proof_size(std::string_view plugin) {
  if (plugin == "mysql_native_password") return mysql::kScrambleSize;
  if (plugin == "client_ed25519") return 64;
  return std::nullopt;
}

}  // namespace sluice::worker
