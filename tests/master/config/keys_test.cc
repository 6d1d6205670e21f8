#include "master/config/keys.h"

#include <gtest/gtest.h>
#include <openssl/rsa.h>

#include "master/config/pem.h"
#include "tests/master/config/certificates.h"

namespace sluice::config {
namespace {

constexpr KeyKinds kAll{true, true, true};

Config with(TlsMode towards_clients, const std::string& certificate, TlsMode towards_servers) {
  Config config;
  config.services = {
      {.name = "shop", .tls = {.mode = towards_clients, .certificate = certificate}}};
  config.clusters = {{.name = "shop"}};
  config.clusters[0].servers = {{.name = "db1"}, {.name = "db2", .tls = {.mode = towards_servers}}};
  return config;
}

TEST(Keys, NeededAreThoseThatTlsNeeds) {
  using enum TlsMode;
  EXPECT_EQ(needed_keys(with(off, "", off)), (KeyKinds{true, false, false}));
  EXPECT_EQ(needed_keys(with(off, "", preferred)), (KeyKinds{true, true, false}));
  EXPECT_EQ(needed_keys(with(preferred, "", off)), (KeyKinds{true, false, true}));
  EXPECT_EQ(needed_keys(with(required, "c.pem", off)), (KeyKinds{true, false, false}));
  auto splits = with(off, "", off);
  splits.services[0].router = RouterKind::read_write_split;
  EXPECT_EQ(needed_keys(splits), (KeyKinds{true, true, false}));
}

TEST(Keys, MadeAreThoseThatAreWantedAndNeeded) {
  const auto config = with(TlsMode::off, "", TlsMode::required);
  const auto ticket = make_keys(config, {true, false, true}, test::kNow).value();
  ASSERT_TRUE(ticket);
  EXPECT_EQ(ticket->ticket_key.reveal().size(), 80u);
  EXPECT_TRUE(ticket->ticket_key_before.empty());
  EXPECT_TRUE(ticket->rsa_key_pem.empty());
  EXPECT_TRUE(ticket->certificate_pem.empty());
  EXPECT_FALSE(make_keys(config, {false, false, true}, test::kNow).value());
  EXPECT_FALSE(make_keys(config, {}, test::kNow).value());
  const auto again = make_keys(config, {true, false, false}, test::kNow).value();
  EXPECT_NE(again->ticket_key, ticket->ticket_key);
}

TEST(Keys, TheRsaKeyHas2048Bits) {
  const auto made = make_keys(with(TlsMode::off, "", TlsMode::required), kAll, test::kNow).value();
  ASSERT_TRUE(made);
  const std::string& pem = made->rsa_key_pem.reveal();
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  ASSERT_TRUE(key);
  EXPECT_TRUE(EVP_PKEY_is_a(key.get(), "RSA"));
  EXPECT_EQ(EVP_PKEY_get_bits(key.get()), 2048);
}

TEST(Keys, TheCertificateFitsItsKeyAndLastsTenYears) {
  const auto made = make_keys(with(TlsMode::required, "", TlsMode::off), kAll, test::kNow).value();
  ASSERT_TRUE(made);
  const auto certificate = read_certificates(Secret(made->certificate_pem));
  ASSERT_TRUE(certificate);
  EXPECT_EQ(certificate->pem, made->certificate_pem);
  EXPECT_EQ(owner_of(*certificate, made->certificate_key_pem), 1);
  EXPECT_EQ(certificate->not_before_s, test::kNow - test::kDay);
  EXPECT_EQ(certificate->not_after_s, test::kNow + 3653 * test::kDay);

  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(
      BIO_new_mem_buf(made->certificate_pem.data(), static_cast<int>(made->certificate_pem.size())),
      BIO_free);
  const std::unique_ptr<X509, decltype(&X509_free)> x509(
      PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr), X509_free);
  char name[100];
  EXPECT_STREQ(X509_NAME_oneline(X509_get_subject_name(x509.get()), name, sizeof name),
               "/CN=sluice");
  EXPECT_EQ(X509_verify(x509.get(), X509_get0_pubkey(x509.get())), 1);
}

TEST(Keys, TravelWithTheConfiguration) {
  ipc::ParsedConfig parsed;
  EXPECT_FALSE(ipc::decode<ipc::ParsedConfig>(ipc::encode(parsed)).value().keys);
  parsed.keys = make_keys(with(TlsMode::required, "", TlsMode::required), kAll, test::kNow).value();
  ASSERT_TRUE(parsed.keys);
  const auto back = ipc::decode<ipc::ParsedConfig>(ipc::encode(parsed));
  ASSERT_TRUE(back && back->keys);
  EXPECT_EQ(ipc::encode(*back->keys), ipc::encode(*parsed.keys));
}

}  // namespace
}  // namespace sluice::config
