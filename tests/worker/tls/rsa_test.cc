#include "worker/tls/rsa.h"

#include <gmock/gmock.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#include "tests/worker/tls/samples.h"
#include "worker/tls/pem.h"

namespace sluice::tls {
namespace {

using testing::HasSubstr;

mysql::Scramble scramble() {
  mysql::Scramble out;
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::byte>(i + 65);
  return out;
}

/// A modulus of that size that nobody has factors of, with the usual exponent.
std::string public_key_of(int bits) {
  std::vector<unsigned char> modulus(static_cast<std::size_t>(bits / 8), 0xA5);
  unsigned long exponent = 65537;
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_N, modulus.data(), modulus.size()),
      OSSL_PARAM_construct_ulong(OSSL_PKEY_PARAM_RSA_E, &exponent), OSSL_PARAM_construct_end()};
  const KeyOperation making(EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
  EVP_PKEY* key = nullptr;
  EVP_PKEY_fromdata_init(making.get());
  EVP_PKEY_fromdata(making.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters);
  return must(write_public_key(Key(key)));
}

class Rsa : public testing::Test {
 protected:
  static const RsaKey& key() {
    static const RsaKey made =
        must(RsaKey::from_pem(Secret(test::make_key_pem(test::KeyKind::rsa2048))));
    return made;
  }
};

TEST_F(Rsa, PasswordsComeBack) {
  for (const std::string& password : {std::string(), std::string("x"), std::string("quickstart"),
                                      std::string(213, 'p'), std::string("a\0b", 3)}) {
    const auto encrypted = encrypt_password(key().public_pem(), Secret(password), scramble());
    ASSERT_TRUE(encrypted) << encrypted.error().message;
    EXPECT_EQ(encrypted->size(), 256u);
    const auto back = key().decrypt_password(*encrypted, scramble());
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(back->reveal(), password);
  }
}

/// RSA_private_decrypt() with RSA_PKCS1_OAEP_PADDING, as MySQL's server has it.
TEST(RsaWire, IsOaepOverSha1OfThePasswordAndItsNulMixed) {
  const auto key =
      must(read_private_key(Secret(test::make_key_pem(test::KeyKind::rsa2048)), "key"));
  const auto encrypted =
      must(encrypt_password(must(write_public_key(key)), Secret("abc"), scramble()));
  const KeyOperation decrypting(EVP_PKEY_CTX_new(key.get(), nullptr));
  EVP_PKEY_decrypt_init(decrypting.get());
  EVP_PKEY_CTX_set_rsa_padding(decrypting.get(), RSA_PKCS1_OAEP_PADDING);
  EVP_PKEY_CTX_set_rsa_oaep_md(decrypting.get(), EVP_sha1());
  unsigned char plain[256];
  std::size_t size = sizeof plain;
  ASSERT_EQ(
      EVP_PKEY_decrypt(decrypting.get(), plain, &size,
                       reinterpret_cast<const unsigned char*>(encrypted.data()), encrypted.size()),
      1);
  const std::string mixed(reinterpret_cast<char*>(plain), size);
  EXPECT_EQ(mixed, (std::string{'a' ^ 'A', 'b' ^ 'B', 'c' ^ 'C', 'D'}));
}

TEST_F(Rsa, PasswordLongerThanTheKeyIsAnError) {
  const auto encrypted =
      encrypt_password(key().public_pem(), Secret(std::string(214, 'p')), scramble());
  ASSERT_FALSE(encrypted);
  EXPECT_THAT(encrypted.error().message, HasSubstr("can't be encrypted"));
  EXPECT_THAT(encrypted.error().message, testing::Not(HasSubstr("ppp")));
}

TEST_F(Rsa, WhatIsWrongIsNotSaid) {
  const auto good = *encrypt_password(key().public_pem(), Secret("secret"), scramble());
  auto changed = good;
  changed[100] ^= std::byte{1};
  auto other = scramble();
  other[6] ^= std::byte{1};  // the NUL
  const std::string errors[] = {
      key().decrypt_password(changed, scramble()).error().message,
      key().decrypt_password(good, other).error().message,
      key().decrypt_password({}, scramble()).error().message,
      key().decrypt_password(Bytes(255), scramble()).error().message,
      key().decrypt_password(Bytes(256, std::byte{0xFF}), scramble()).error().message,
      key().decrypt_password(Bytes(100'000), scramble()).error().message,
  };
  for (const auto& error : errors) EXPECT_EQ(error, "the password can't be decrypted");
}

TEST_F(Rsa, EveryTruncationOfAPublicKeyIsAnError) {
  const auto& whole = key().public_pem();
  for (std::size_t n = 0; n + 1 < whole.size(); ++n)
    EXPECT_FALSE(encrypt_password(whole.substr(0, n), Secret("x"), scramble()))
        << "cut at byte " << n;
}

TEST_F(Rsa, KeysThatAreNotForThisAreRefused) {
  const auto error = [](const test::Certificate& of) {
    const auto pem = write_public_key(must(read_private_key(Secret(of.key_pem), "key")));
    return encrypt_password(must(pem), Secret("x"), scramble()).error().message;
  };
  EXPECT_EQ(error({"", test::make_key_pem(test::KeyKind::p256)}), "the key is not an RSA key");
  EXPECT_THAT(
      encrypt_password(key().public_pem() + std::string(kMaxKeyPem, '\n'), Secret("x"), scramble())
          .error()
          .message,
      HasSubstr("too long"));
  EXPECT_FALSE(RsaKey::from_pem(Secret(test::make_key_pem(test::KeyKind::ed25519))));
  EXPECT_FALSE(RsaKey::from_pem(Secret()));
}

TEST_F(Rsa, KeysOfOtherSizesAreRefused) {
  EXPECT_EQ(encrypt_password(public_key_of(512), Secret("x"), scramble()).error().message,
            "an RSA key of 512 bits is refused");
  EXPECT_EQ(encrypt_password(public_key_of(8200), Secret("x"), scramble()).error().message,
            "an RSA key of 8200 bits is refused");
  EXPECT_TRUE(encrypt_password(public_key_of(8192), Secret("x"), scramble()));
}

}  // namespace
}  // namespace sluice::tls
