// Authenticated encryption of records. What the library needs to work with a key is an order of
// magnitude more memory than the key; so the connections of a thread share some places for that,
// and one that speaks often finds its own still there.
#pragma once

#include <array>

#include "common/base/bytes.h"
#include "worker/tls/records.h"

namespace sluice::tls {

inline constexpr std::size_t kNonceSize = 12, kTagSize = 16, kMaxKeySize = 32;
using Nonce = std::array<std::byte, kNonceSize>;

constexpr std::size_t key_size(Aead aead) {
  return aead == Aead::aes_128_gcm ? 16 : 32;
}

/// A key for one direction. Lives and dies in one thread; wiped when it goes.
class AeadKey {
 public:
  enum class Use : uint8_t { seal, open };

  /// `key` has the size that `aead` wants.
  AeadKey(Aead aead, Use use, ByteSpan key);
  ~AeadKey();
  AeadKey(const AeadKey&) = delete;
  AeadKey& operator=(const AeadKey&) = delete;

  /// Another key of the same kind in the place of this one.
  void replace(ByteSpan key);
  /// Forgets the key. There is nothing to do with what is left.
  void wipe();

  /// Encrypts `text` where it is, and fills in `tag`. False without memory.
  bool seal(const Nonce& nonce, ByteSpan associated, std::span<std::byte> text,
            std::span<std::byte, kTagSize> tag) const;

  /// Decrypts what is in front of the tag into `text`, which is no secret until this is true and
  /// nothing at all if it is false. `sealed` is a tag longer than `text`.
  bool open(const Nonce& nonce, ByteSpan associated, ByteSpan sealed,
            std::span<std::byte> text) const;

 private:
  Aead aead_;
  Use use_;
  std::array<std::byte, kMaxKeySize> key_{};
  uint64_t id_;  ///< no two keys of a thread have the same
};

}  // namespace sluice::tls
