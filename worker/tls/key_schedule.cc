#include "worker/tls/key_schedule.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <cassert>

namespace sluice::tls {
namespace {

using Kdf = std::unique_ptr<EVP_KDF, Release<EVP_KDF_free>>;
using KdfContext = std::unique_ptr<EVP_KDF_CTX, Release<EVP_KDF_CTX_free>>;

unsigned char* raw(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}
const unsigned char* raw(const Bytes& bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

const EVP_MD* digest_of(Aead aead) {
  return aead == Aead::aes_256_gcm ? EVP_sha384() : EVP_sha256();
}

/// HKDF-Expand-Label without a context, for what one block of the digest gives.
Secret expand_label(Aead aead, const Secret& secret, std::string_view label, std::size_t size) {
  constexpr std::string_view kPrefix = "tls13 ";
  const EVP_MD* const digest = digest_of(aead);
  assert(size <= static_cast<std::size_t>(EVP_MD_get_size(digest)));
  Bytes info;
  ByteWriter to(info);
  to.byte(static_cast<uint8_t>(size >> 8));
  to.byte(static_cast<uint8_t>(size));
  to.byte(static_cast<uint8_t>(kPrefix.size() + label.size()));
  to.text(kPrefix);
  to.text(label);
  to.byte(0);  // no context
  to.byte(1);  // the number of the block
  Secret out(std::string(EVP_MAX_MD_SIZE, '\0'));
  const auto& key = secret.reveal();
  if (HMAC(digest, key.data(), static_cast<int>(key.size()), raw(info), info.size(),
           raw(out.reveal()), nullptr) == nullptr)
    return ERR_clear_error(), Secret();
  return Secret(out.reveal().substr(0, size));
}

Secret join(const Secret& first, const Secret& second) {
  Secret out;
  if (first.empty() || second.empty()) return out;
  out.reveal().reserve(first.reveal().size() + second.reveal().size());  // no copy is left behind
  out.reveal().append(first.reveal()).append(second.reveal());
  return out;
}

/// The pseudorandom function of TLS 1.2, into all of `out`.
bool derive(const EVP_MD* digest, const Secret& master, std::string_view label, Bytes seed,
            Secret& out) {
  const Kdf function(EVP_KDF_fetch(nullptr, OSSL_KDF_NAME_TLS1_PRF, nullptr));
  const KdfContext context(function ? EVP_KDF_CTX_new(function.get()) : nullptr);
  std::string name = EVP_MD_get0_name(digest);
  std::string label_text(label);
  auto& key = const_cast<std::string&>(master.reveal());  // the library's parameters know no const
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, name.data(), 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, key.data(), key.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, label_text.data(), label_text.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed.data(), seed.size()),
      OSSL_PARAM_construct_end()};
  if (context &&
      EVP_KDF_derive(context.get(), raw(out.reveal()), out.reveal().size(), parameters) == 1)
    return true;
  ERR_clear_error();
  return false;
}

}  // namespace

std::size_t secret_size(Version version, Aead aead) {
  if (version == Version::tls_1_2) return key_size(aead) + iv_size(version, aead);
  return static_cast<std::size_t>(EVP_MD_get_size(digest_of(aead)));
}

std::size_t iv_size(Version version, Aead aead) {
  return version == Version::tls_1_2 && aead != Aead::chacha20_poly1305 ? 4 : kNonceSize;
}

Secret key_and_iv(Version version, Aead aead, const Secret& secret) {
  if (version == Version::tls_1_2) return secret;
  return join(expand_label(aead, secret, "key", key_size(aead)),
              expand_label(aead, secret, "iv", kNonceSize));
}

Secret next_secret(Aead aead, const Secret& secret) {
  return expand_label(aead, secret, "traffic upd", secret.reveal().size());
}

KeyBlock key_block(Aead aead, const EVP_MD* digest, const Secret& master, ByteSpan client_random,
                   ByteSpan server_random) {
  const auto key = key_size(aead), iv = iv_size(Version::tls_1_2, aead);
  Bytes seed;
  ByteWriter to(seed);
  to.raw(server_random);
  to.raw(client_random);
  Secret block(std::string(2 * (key + iv), '\0'));
  if (!derive(digest, master, "key expansion", std::move(seed), block)) return {};
  const auto part = [&block](std::size_t at, std::size_t size) {
    return Secret(block.reveal().substr(at, size));
  };
  return {join(part(0, key), part(2 * key, iv)), join(part(key, key), part(2 * key + iv, iv))};
}

}  // namespace sluice::tls
