#include "worker/tls/rsa.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "worker/tls/errors.h"
#include "worker/tls/pem.h"

namespace sluice::tls {
namespace {

Result<> judge(const EVP_PKEY* key) {
  if (!EVP_PKEY_is_a(key, "RSA")) return fail(Errc::bad_input, "the key is not an RSA key");
  const int bits = EVP_PKEY_get_bits(key);
  if (bits < kMinKeyBits || bits > kMaxKeyBits)
    return fail(Errc::bad_input, fmt::format("an RSA key of {} bits is refused", bits));
  return {};
}

void mix(std::string& text, const mysql::Scramble& scramble) {
  for (std::size_t i = 0; i < text.size(); ++i)
    text[i] = static_cast<char>(text[i] ^ std::to_integer<char>(scramble[i % scramble.size()]));
}

/// The password with its NUL, XORed.
Secret obfuscated(const Secret& password, const mysql::Scramble& scramble) {
  const auto& text = password.reveal();
  Secret out(std::string(text.size() + 1, '\0'));
  out.reveal().replace(0, text.size(), text);
  mix(out.reveal(), scramble);
  return out;
}

unsigned char* raw(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}
const unsigned char* raw(ByteSpan bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

KeyOperation operation(EVP_PKEY* key, int (*begin)(EVP_PKEY_CTX*)) {
  ERR_clear_error();
  KeyOperation made(EVP_PKEY_CTX_new(key, nullptr));
  if (made && (begin(made.get()) != 1 ||
               EVP_PKEY_CTX_set_rsa_padding(made.get(), RSA_PKCS1_OAEP_PADDING) != 1))
    made.reset();
  return made;
}

}  // namespace

Result<Bytes> encrypt_password(std::string_view public_key_pem, const Secret& password,
                               const mysql::Scramble& scramble) {
  if (public_key_pem.size() > kMaxKeyPem)
    return fail(Errc::bad_input, "the public key of the server is too long");
  const auto key = SLUICE_TRY(read_public_key(public_key_pem, "the public key of the server"));
  SLUICE_TRY(judge(key.get()));
  const auto text = obfuscated(password, scramble);
  const auto encrypting = operation(key.get(), EVP_PKEY_encrypt_init);
  std::string out(static_cast<std::size_t>(EVP_PKEY_get_size(key.get())), '\0');
  auto size = out.size();
  if (!encrypting || EVP_PKEY_encrypt(encrypting.get(), raw(out), &size,
                                      raw(as_bytes(text.reveal())), text.reveal().size()) != 1)
    return fail(Errc::bad_input, "the password can't be encrypted: " + take_reason());
  const auto bytes = as_bytes(out).first(size);
  return Bytes(bytes.begin(), bytes.end());
}

Result<RsaKey> RsaKey::from_pem(const Secret& pem) {
  auto key = SLUICE_TRY(read_private_key(pem, "the key for passwords"));
  SLUICE_TRY(judge(key.get()));
  auto public_pem = SLUICE_TRY(write_public_key(key));
  return RsaKey(std::move(key), std::move(public_pem));
}

Result<Secret> RsaKey::decrypt_password(ByteSpan encrypted, const mysql::Scramble& scramble) const {
  const auto decrypting = operation(key_.get(), EVP_PKEY_decrypt_init);
  Secret text(std::string(static_cast<std::size_t>(EVP_PKEY_get_size(key_.get())), '\0'));
  auto size = text.reveal().size();
  const bool decrypted = decrypting && EVP_PKEY_decrypt(decrypting.get(), raw(text.reveal()), &size,
                                                        raw(encrypted), encrypted.size()) == 1;
  ERR_clear_error();
  if (decrypted) {
    text.reveal().resize(size);
    mix(text.reveal(), scramble);
  }
  if (!decrypted || text.reveal().empty() || text.reveal().back() != '\0')
    return fail(Errc::denied, "the password can't be decrypted");
  text.reveal().pop_back();
  return text;
}

}  // namespace sluice::tls
