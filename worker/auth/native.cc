#include "worker/auth/native.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <memory>

namespace sluice::worker {
namespace {

struct Free {
  void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
};

std::optional<Sha1> sha1(ByteSpan a, ByteSpan b = {}) {
  const std::unique_ptr<EVP_MD_CTX, Free> context(EVP_MD_CTX_new());
  Sha1 out{};
  if (!context || EVP_DigestInit_ex(context.get(), EVP_sha1(), nullptr) != 1 ||
      EVP_DigestUpdate(context.get(), a.data(), a.size()) != 1 ||
      EVP_DigestUpdate(context.get(), b.data(), b.size()) != 1 ||
      EVP_DigestFinal_ex(context.get(), reinterpret_cast<unsigned char*>(out.data()), nullptr) != 1)
    return std::nullopt;
  return out;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

std::optional<Sha1> native_hash(std::string_view text) {
  Sha1 out{};
  if (text.size() != 1 + 2 * out.size() || text[0] != '*') return std::nullopt;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int high = hex_digit(text[1 + 2 * i]), low = hex_digit(text[2 + 2 * i]);
    if (high < 0 || low < 0) return std::nullopt;
    out[i] = static_cast<std::byte>(high << 4 | low);
  }
  return out;
}

std::optional<Sha1> native_proof(const Sha1& hash, ByteSpan scramble, ByteSpan response) {
  if (response.size() != hash.size()) return std::nullopt;
  const auto mask = sha1(scramble, hash);
  if (!mask) return std::nullopt;
  Sha1 stage1{};
  for (std::size_t i = 0; i < stage1.size(); ++i) stage1[i] = response[i] ^ (*mask)[i];
  const auto again = sha1(stage1);
  if (!again || CRYPTO_memcmp(again->data(), hash.data(), hash.size()) != 0) return std::nullopt;
  return stage1;
}

std::optional<Sha1> native_response(ByteSpan stage1, ByteSpan scramble) {
  if (stage1.size() != std::tuple_size_v<Sha1>) return std::nullopt;
  const auto hash = sha1(stage1);
  const auto mask = hash ? sha1(scramble, *hash) : std::nullopt;
  if (!mask) return std::nullopt;
  Sha1 out{};
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = stage1[i] ^ (*mask)[i];
  return out;
}

std::optional<Sha1> native_response_of(const Secret& password, ByteSpan scramble) {
  auto stage1 = sha1(as_bytes(password.reveal()));
  const auto out = stage1 ? native_response(*stage1, scramble) : std::nullopt;
  if (stage1) OPENSSL_cleanse(stage1->data(), stage1->size());
  return out;
}

}  // namespace sluice::worker
