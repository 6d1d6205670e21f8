#include "worker/tls/witness.h"

#include <fmt/format.h>

#include <algorithm>

#include "worker/tls/key_schedule.h"

namespace sluice::tls {
namespace {

constexpr std::size_t kHeaderSize = 5, kExplicitSize = 8;

std::optional<Aead> aead_of(const SSL* ssl) {
  switch (SSL_CIPHER_get_cipher_nid(SSL_get_current_cipher(ssl))) {
    case NID_aes_128_gcm:
      return Aead::aes_128_gcm;
    case NID_aes_256_gcm:
      return Aead::aes_256_gcm;
    case NID_chacha20_poly1305:
      return Aead::chacha20_poly1305;
    default:
      return std::nullopt;
  }
}

std::optional<Version> version_of(const SSL* ssl) {
  switch (SSL_version(ssl)) {
    case TLS1_2_VERSION:
      return Version::tls_1_2;
    case TLS1_3_VERSION:
      return Version::tls_1_3;
    default:
      return std::nullopt;
  }
}

/// How long a fragment may be that the other end takes, which only clients may limit.
uint16_t fragment_of(const SSL* ssl, Role role) {
  const auto code = SSL_SESSION_get_max_fragment_length(SSL_get_session(ssl));
  if (role == Role::client || code == TLSEXT_max_fragment_length_DISABLED) return kMaxFragment;
  return static_cast<uint16_t>(kMinFragment << (code - TLSEXT_max_fragment_length_512));
}

uint8_t digit(char c) {
  return static_cast<uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10);
}

Secret from_hex(std::string_view hex) {
  Secret out(std::string(hex.size() / 2, '\0'));
  for (std::size_t i = 0; i < out.reveal().size(); ++i)
    out.reveal()[i] = static_cast<char>(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
  return out;
}

template <auto Get>
Bytes random_of(const SSL* ssl) {
  Bytes out(SSL3_RANDOM_SIZE);
  Get(ssl, reinterpret_cast<unsigned char*>(out.data()), out.size());
  return out;
}

Secret master_of(const SSL* ssl) {
  Secret out(std::string(SSL_MAX_MASTER_KEY_LENGTH, '\0'));
  auto* to = reinterpret_cast<unsigned char*>(out.reveal().data());
  out.reveal().resize(SSL_SESSION_get_master_key(SSL_get_session(ssl), to, out.reveal().size()));
  return out;
}

}  // namespace

std::string why_not_ours(const SSL* ssl) {
  if (aead_of(ssl) && version_of(ssl)) return "";
  return fmt::format("{} with {}", SSL_get_version(ssl), SSL_get_cipher(ssl));
}

void Witness::watch(SSL_CTX* context) {
  SSL_CTX_set_keylog_callback(context, on_secret);
}

void Witness::watch(SSL* ssl) {
  SSL_set_app_data(ssl, this);
  SSL_set_msg_callback(ssl, on_message);
  SSL_set_msg_callback_arg(ssl, this);
}

/// SSL_CTX_set_keylog_callback(3): "LABEL client-random secret", in hexadecimal.
void Witness::on_secret(const SSL* ssl, const char* line) noexcept {
  auto* const self = static_cast<Witness*>(SSL_get_app_data(ssl));
  if (self == nullptr) return;
  const std::string_view text(line);
  const auto secret = text.substr(text.rfind(' ') + 1);
  if (text.starts_with("CLIENT_TRAFFIC_SECRET_0 ")) self->client_.secret = from_hex(secret);
  if (text.starts_with("SERVER_TRAFFIC_SECRET_0 ")) self->server_.secret = from_hex(secret);
}

/// SSL_CTX_set_msg_callback(3): each record's header, before it is decrypted or after it is made,
/// and each message of the handshake, when it has come or gone.
void Witness::on_message(int is_ours, int, int type, const void* data, std::size_t size, SSL* ssl,
                         void* self) noexcept {
  auto& witness = *static_cast<Witness*>(self);
  const bool is_clients = (is_ours != 0) != (SSL_is_server(ssl) == 1);
  auto& way = is_clients ? witness.client_ : witness.server_;
  const ByteSpan bytes(static_cast<const std::byte*>(data), size);
  if (type == SSL3_RT_HEADER && size >= kHeaderSize)
    witness.on_record(way, bytes, SSL_version(ssl) == TLS1_3_VERSION);
  else if (type == SSL3_RT_HANDSHAKE && size > 0)
    witness.on_handshake(way, std::to_integer<uint8_t>(bytes[0]), ssl);
}

/// TLS 1.3 calls encrypted records data. In TLS 1.2 all are encrypted that come behind a
/// change_cipher_spec.
void Witness::on_record(OneWay& way, ByteSpan header, bool tls_1_3) const {
  const auto type = std::to_integer<int>(header[0]);
  if (!tls_1_3 && type == SSL3_RT_CHANGE_CIPHER_SPEC)
    way.records = 0;
  else if (!tls_1_3 || type == SSL3_RT_APPLICATION_DATA)
    ++way.records;
}

/// The keys of TLS 1.3 begin behind Finished and behind each KeyUpdate.
void Witness::on_handshake(OneWay& way, uint8_t message, const SSL* ssl) const {
  if (SSL_version(ssl) != TLS1_3_VERSION) return;
  if (message == SSL3_MT_FINISHED) way.records = 0;
  if (message != SSL3_MT_KEY_UPDATE) return;
  const auto aead = aead_of(ssl);
  if (aead) way.secret = next_secret(*aead, way.secret);
  way.records = 0;
}

/// The explicit nonce of a record is in front of what it encrypts.
void Witness::sent(ByteSpan records) {
  while (records.size() >= kHeaderSize) {
    const auto type = std::to_integer<int>(records[0]);
    const auto size = kHeaderSize + (std::to_integer<std::size_t>(records[3]) << 8 |
                                     std::to_integer<std::size_t>(records[4]));
    if (finishing_ && type == SSL3_RT_HANDSHAKE && records.size() >= kHeaderSize + kExplicitSize) {
      finished_nonce_ = 0;
      for (const auto b : records.subspan(kHeaderSize, kExplicitSize))
        finished_nonce_ = finished_nonce_ << 8 | std::to_integer<uint64_t>(b);
    }
    if (type == SSL3_RT_CHANGE_CIPHER_SPEC) finishing_ = true;
    records = records.subspan(std::min(size, records.size()));
  }
}

Result<RecordsState> Witness::state_of(const SSL* ssl, Role role) const {
  const auto aead = aead_of(ssl);
  const auto version = version_of(ssl);
  if (!aead || !version) return fail(Errc::internal, "no such records: " + why_not_ours(ssl));
  RecordsState out{.role = role, .version = *version, .aead = *aead};
  out.fragment = fragment_of(ssl, role);
  const bool is_client = role == Role::client;
  const auto& ours = is_client ? client_ : server_;
  const auto& theirs = is_client ? server_ : client_;
  out.ours = {.secret = ours.secret, .records = ours.records};
  out.theirs = {.secret = theirs.secret, .records = theirs.records};
  if (version == Version::tls_1_2) SLUICE_TRY(derive_1_2(ssl, out));
  for (const auto* way : {&out.ours, &out.theirs})
    if (way->secret.reveal().size() != secret_size(*version, *aead))
      return fail(Errc::internal, "the secrets of a TLS connection are not known");
  return out;
}

/// OpenSSL has made one record with the key, our Finished, whose nonce was seen. The next one
/// counts on from there, so it comes back to it after 2^64 records.
Result<> Witness::derive_1_2(const SSL* ssl, RecordsState& out) const {
  if (!finishing_ || out.ours.records != 1)
    return fail(Errc::internal, "more than Finished was sent");
  out.ours.explicit_nonce = finished_nonce_ + 1;
  auto keys = key_block(out.aead, SSL_CIPHER_get_handshake_digest(SSL_get_current_cipher(ssl)),
                        master_of(ssl), random_of<SSL_get_client_random>(ssl),
                        random_of<SSL_get_server_random>(ssl));
  const bool is_client = out.role == Role::client;
  out.ours.secret = std::move(is_client ? keys.client : keys.server);
  out.theirs.secret = std::move(is_client ? keys.server : keys.client);
  return {};
}

}  // namespace sluice::tls
