#include "worker/tls/aead.h"

#include <openssl/err.h>
#include <string.h>

#include <algorithm>
#include <cassert>

#include "worker/tls/openssl.h"

namespace sluice::tls {
namespace {

using Cipher = std::unique_ptr<EVP_CIPHER, Release<EVP_CIPHER_free>>;
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, Release<EVP_CIPHER_CTX_free>>;

/// Fetched once: by its name the library would look for a cipher each time.
const EVP_CIPHER* cipher(Aead aead) {
  static const std::array<Cipher, 3> fetched = {
      Cipher(EVP_CIPHER_fetch(nullptr, "AES-128-GCM", nullptr)),
      Cipher(EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr)),
      Cipher(EVP_CIPHER_fetch(nullptr, "ChaCha20-Poly1305", nullptr))};
  return fetched[static_cast<std::size_t>(aead)].get();
}

/// A place to work in, and the key that it is set up for.
struct Place {
  CipherContext context;
  uint64_t id = 0;
};

/// A key has one place that it can be in. Most of the work is done by few connections at a time,
/// and ids are given one after the other, so neighbours don't push each other out.
constexpr std::size_t kPlaces = 64;
Place& place_of(uint64_t id) {
  thread_local std::array<Place, kPlaces> places;
  return places[id % kPlaces];
}

uint64_t next_id() {
  thread_local uint64_t last = 0;
  return ++last;
}

unsigned char* raw(std::byte* bytes) {
  return reinterpret_cast<unsigned char*>(bytes);
}
const unsigned char* raw(const std::byte* bytes) {
  return reinterpret_cast<const unsigned char*>(bytes);
}
int size_of(ByteSpan bytes) {
  return static_cast<int>(bytes.size());
}

/// The context set up for one record. Null without memory.
EVP_CIPHER_CTX* ready(Aead aead, AeadKey::Use use, const std::byte* key, uint64_t id,
                      const Nonce& nonce) {
  Place& place = place_of(id);
  EVP_CIPHER_CTX* const context = place.context.get();
  if (place.id == id)
    return EVP_CipherInit_ex2(context, nullptr, nullptr, raw(nonce.data()), -1, nullptr) == 1
               ? context
               : nullptr;
  if (context == nullptr) place.context.reset(EVP_CIPHER_CTX_new());
  place.id = 0;
  if (!place.context ||
      EVP_CipherInit_ex2(place.context.get(), cipher(aead), raw(key), raw(nonce.data()),
                         use == AeadKey::Use::seal, nullptr) != 1)
    return nullptr;
  place.id = id;
  return place.context.get();
}

}  // namespace

AeadKey::AeadKey(Aead aead, Use use, ByteSpan key) : aead_(aead), use_(use), id_(next_id()) {
  assert(key.size() == key_size(aead));
  std::ranges::copy(key, key_.begin());
}

AeadKey::~AeadKey() {
  wipe();
}

void AeadKey::replace(ByteSpan key) {
  assert(key.size() == key_size(aead_));
  wipe();
  id_ = next_id();
  std::ranges::copy(key, key_.begin());
}

void AeadKey::wipe() {
  ::explicit_bzero(key_.data(), key_.size());
  Place& place = place_of(id_);
  if (place.id != id_) return;
  place.id = 0;
  EVP_CIPHER_CTX_reset(place.context.get());
}

bool AeadKey::seal(const Nonce& nonce, ByteSpan associated, std::span<std::byte> text,
                   std::span<std::byte, kTagSize> tag) const {
  EVP_CIPHER_CTX* const context = ready(aead_, use_, key_.data(), id_, nonce);
  int n = 0;
  unsigned char* const at = raw(text.data());
  const bool sealed =
      context != nullptr &&
      EVP_EncryptUpdate(context, nullptr, &n, raw(associated.data()), size_of(associated)) == 1 &&
      EVP_EncryptUpdate(context, at, &n, at, size_of(text)) == 1 &&
      EVP_EncryptFinal_ex(context, at, &n) == 1 &&
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagSize, tag.data()) == 1;
  if (!sealed) ERR_clear_error();
  return sealed;
}

bool AeadKey::open(const Nonce& nonce, ByteSpan associated, ByteSpan sealed,
                   std::span<std::byte> text) const {
  assert(sealed.size() == text.size() + kTagSize);
  EVP_CIPHER_CTX* const context = ready(aead_, use_, key_.data(), id_, nonce);
  int n = 0;
  std::byte none;  // a place for nothing
  unsigned char* const at = raw(text.empty() ? &none : text.data());
  std::array<std::byte, kTagSize> tag;
  std::ranges::copy(sealed.last<kTagSize>(), tag.begin());
  const bool opened =
      context != nullptr &&
      EVP_DecryptUpdate(context, nullptr, &n, raw(associated.data()), size_of(associated)) == 1 &&
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTagSize, tag.data()) == 1 &&
      (text.empty() ||
       EVP_DecryptUpdate(context, at, &n, raw(sealed.data()), size_of(text)) == 1) &&
      EVP_DecryptFinal_ex(context, at, &n) == 1;
  if (!opened) ERR_clear_error();
  return opened;
}

}  // namespace sluice::tls
