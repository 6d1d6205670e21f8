#include "master/config/pem.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/master/config/certificates.h"

namespace sluice::config {
namespace {

constexpr int64_t kFrom = test::kNow, kUntil = test::kNow + 100 * test::kDay;

Taken<Certificates> read(const std::string& text) {
  return read_certificates(Secret(text));
}

TEST(Certificates, AreReadWithTheirTimes) {
  const auto own = test::make_certificate(kFrom, kUntil);
  const auto later = test::make_certificate(kFrom, kUntil + 1);
  const auto found = read(own.certificate + later.certificate);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->pem, own.certificate + later.certificate);
  EXPECT_EQ(found->not_before_s, kFrom);
  EXPECT_EQ(found->not_after_s, kUntil);
  EXPECT_EQ(found->latest_not_after_s, kUntil + 1);
}

TEST(Certificates, OfFarAwayTimes) {
  const auto found = read(test::make_certificate(-1, 253'402'300'799).certificate);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->not_before_s, -1);
  EXPECT_EQ(found->not_after_s, 253'402'300'799);
}

TEST(Certificates, OnlyWhatMattersIsKept) {
  const auto made = test::make_certificate(kFrom, kUntil);
  auto crlf = made.certificate;
  for (auto at = crlf.find('\n'); at != std::string::npos; at = crlf.find('\n', at + 2))
    crlf.insert(at, "\r");
  for (const auto& text :
       {made.key + made.certificate, "subject: CN=test\n\n" + made.certificate + "\n\n", crlf}) {
    const auto found = read(text);
    ASSERT_TRUE(found) << text;
    EXPECT_EQ(found->pem, made.certificate);
  }
}

TEST(Certificates, DamageIsSaidWithItsNumber) {
  const auto made = test::make_certificate(kFrom, kUntil);
  EXPECT_EQ(read("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").error().text,
            "certificate 1 of the file is damaged");
  EXPECT_EQ(read(made.certificate + made.certificate.substr(0, 200)).error().text,
            "certificate 2 of the file is damaged");
  EXPECT_EQ(read(made.certificate + "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")
                .error()
                .text,
            "certificate 2 of the file is damaged");
}

TEST(Certificates, CutAnywhereAreAnError) {
  const auto text = test::make_certificate(kFrom, kUntil).certificate;
  for (std::size_t n = 0; n + 1 < text.size(); ++n) EXPECT_FALSE(read(text.substr(0, n))) << n;
}

TEST(Keys, AreReadAsPkcs8) {
  const auto made = test::make_certificate(kFrom, kUntil);
  const auto key = read_private_key(Secret(made.certificate + made.key));
  ASSERT_TRUE(key);
  EXPECT_EQ(key->reveal(), made.key);
}

TEST(Keys, OfOldFormsAreReadToo) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> rsa(EVP_RSA_gen(2048), EVP_PKEY_free);
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
  PEM_write_bio_PrivateKey_traditional(bio.get(), rsa.get(), nullptr, nullptr, 0, nullptr, nullptr);
  char* data = nullptr;
  const auto size = BIO_get_mem_data(bio.get(), &data);
  const std::string text(data, static_cast<std::size_t>(size));
  ASSERT_TRUE(text.starts_with("-----BEGIN RSA PRIVATE KEY-----"));
  const auto key = read_private_key(Secret(text));
  ASSERT_TRUE(key);
  EXPECT_TRUE(key->reveal().starts_with("-----BEGIN PRIVATE KEY-----"));
}

TEST(Keys, WithAPassphraseAreRefused) {
  const auto made = test::make_certificate(kFrom, kUntil);
  for (const auto form : {test::KeyForm::pkcs8, test::KeyForm::traditional}) {
    const auto key = read_private_key(Secret(test::encrypt_key(made.key, form)));
    ASSERT_FALSE(key);
    EXPECT_EQ(key.error().text, "the private key is encrypted");
    EXPECT_NE(key.error().hint.find("openssl pkey"), std::string::npos);
  }
}

TEST(Keys, CutAnywhereAreAnError) {
  const auto text = test::make_certificate(kFrom, kUntil).key;
  for (std::size_t n = 0; n + 1 < text.size(); ++n) {
    const auto key = read_private_key(Secret(text.substr(0, n)));
    ASSERT_FALSE(key) << n;
    EXPECT_EQ((key.error().text + key.error().hint).find("MIG"), std::string::npos);
  }
}

TEST(Keys, BelongToOneOfTheCertificatesOrToNone) {
  const auto one = test::make_certificate(kFrom, kUntil);
  const auto other = test::make_certificate(kFrom, kUntil);
  const auto chain = read(one.certificate + other.certificate).value();
  EXPECT_EQ(owner_of(chain, Secret(one.key)), 1);
  EXPECT_EQ(owner_of(chain, Secret(other.key)), 2);
  EXPECT_EQ(owner_of(chain, Secret(test::make_certificate(kFrom, kUntil).key)), 0);
  EXPECT_EQ(owner_of(chain, Secret("")), 0);
  EXPECT_EQ(owner_of({}, Secret(one.key)), 0);
}

}  // namespace
}  // namespace sluice::config
