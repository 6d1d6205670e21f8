#include "worker/auth/sha2.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <memory>

namespace sluice::worker {
namespace {

struct Free {
  void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
};

std::optional<Sha256> sha256(ByteSpan a, ByteSpan b = {}) {
  const std::unique_ptr<EVP_MD_CTX, Free> context(EVP_MD_CTX_new());
  Sha256 out{};
  if (!context || EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) != 1 ||
      EVP_DigestUpdate(context.get(), a.data(), a.size()) != 1 ||
      EVP_DigestUpdate(context.get(), b.data(), b.size()) != 1 ||
      EVP_DigestFinal_ex(context.get(), reinterpret_cast<unsigned char*>(out.data()), nullptr) != 1)
    return std::nullopt;
  return out;
}

}  // namespace

std::optional<Sha256> sha2_response(const Secret& password, ByteSpan scramble) {
  auto stage1 = sha256(as_bytes(password.reveal()));
  const auto stage2 = stage1 ? sha256(*stage1) : std::nullopt;
  const auto mask = stage2 ? sha256(*stage2, scramble) : std::nullopt;
  if (!mask) return std::nullopt;
  Sha256 out{};
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = (*stage1)[i] ^ (*mask)[i];
  OPENSSL_cleanse(stage1->data(), stage1->size());
  return out;
}

bool sha2_proves(const Secret& password, ByteSpan scramble, ByteSpan response) {
  const auto expected = sha2_response(password, scramble);
  return expected && response.size() == expected->size() &&
         CRYPTO_memcmp(expected->data(), response.data(), response.size()) == 0;
}

}  // namespace sluice::worker
