// Both ends of a connection that no handshake made, and records that no layer of ours would make.
#pragma once

#include "worker/tls/key_schedule.h"
#include "worker/tls/layer.h"

namespace sluice::tls {

/// What both ends go on from, as if a handshake were just over.
struct Ends {
  RecordsState client, server;

  static Ends made(Version version, Aead aead) {
    const auto size = secret_size(version, aead);
    RecordsOneWay by_client{.secret = Secret(std::string(size, 'c'))};
    RecordsOneWay by_server{.secret = Secret(std::string(size, 's'))};
    Ends out;
    out.client = {.role = Role::client, .version = version, .aead = aead};
    out.server = {.role = Role::server, .version = version, .aead = aead};
    out.client.ours = out.server.theirs = by_client;
    out.client.theirs = out.server.ours = by_server;
    return out;
  }
};

/// Has the keys of one end. Every record is the next one.
class Forger {
 public:
  explicit Forger(const RecordsState& end)
      : version_(end.version), aead_(end.aead), way_(end.ours) {}

  /// TLS 1.2 knows no padding.
  Bytes record(int type, ByteSpan content, std::size_t padding = 0) {
    const bool hides_type = version_ == Version::tls_1_3;
    Bytes text(content.begin(), content.end());
    if (hides_type) text.push_back(static_cast<std::byte>(type));
    if (hides_type) ByteWriter(text).zeros(padding);
    return sealed(hides_type ? 23 : type, std::move(text));
  }
  Bytes record(int type, std::string_view content, std::size_t padding = 0) {
    return record(type, as_bytes(content), padding);
  }

  /// With a text that has no type of its own.
  Bytes sealed(int outer_type, Bytes text) {
    const auto material = key_and_iv(version_, aead_, way_.secret);
    const auto key = as_bytes(material.reveal()).first(key_size(aead_));
    const auto iv = as_bytes(material.reveal()).subspan(key_size(aead_));
    const auto number = big_endian(way_.records++, 8);
    Nonce nonce{};
    std::copy(iv.begin(), iv.end(), nonce.begin());
    Bytes front;
    if (iv.size() < kNonceSize) front = number;
    for (std::size_t i = 0; i < 8; ++i) nonce[4 + i] ^= number[i];
    Bytes header = {static_cast<std::byte>(outer_type), std::byte{3}, std::byte{3}};
    const auto plain_size = text.size();
    ByteWriter(header).raw(big_endian(front.size() + plain_size + kTagSize, 2));
    Bytes associated = header;
    if (version_ == Version::tls_1_2) {
      associated = number;
      ByteWriter(associated).raw(ByteSpan(header).first(3));
      ByteWriter(associated).raw(big_endian(plain_size, 2));
    }
    std::array<std::byte, kTagSize> tag;
    AeadKey(aead_, AeadKey::Use::seal, key).seal(nonce, associated, text, tag);
    Bytes out = header;
    for (const ByteSpan part : {ByteSpan(front), ByteSpan(text), ByteSpan(tag)})
      ByteWriter(out).raw(part);
    return out;
  }

  /// TLS 1.2 has one key.
  void next_key() {
    if (version_ == Version::tls_1_2) return;
    way_.secret = next_secret(aead_, way_.secret);
    way_.records = 0;
  }

 private:
  static Bytes big_endian(uint64_t value, std::size_t size) {
    Bytes out(size);
    for (auto at = out.rbegin(); at != out.rend(); ++at, value >>= 8)
      *at = static_cast<std::byte>(value);
    return out;
  }

  Version version_;
  Aead aead_;
  RecordsOneWay way_;
};

}  // namespace sluice::tls
