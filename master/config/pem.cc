#include "master/config/pem.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/err.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <vector>

#include "master/config/libcrypto.h"

namespace sluice::config {
namespace {

using namespace libcrypto;

/// One "-----BEGIN NAME-----" and what it holds.
struct Block {
  std::string name, header;
  Secret der;
};

/// The blocks of a file up to its end or to the first that is damaged, which has no `der`.
std::vector<Block> blocks_of(const Secret& text) {
  std::vector<Block> blocks;
  const auto bio = reader_of(text.reveal());
  ERR_clear_error();
  for (;;) {
    char *name = nullptr, *header = nullptr;
    unsigned char* data = nullptr;
    long size = 0;
    if (PEM_read_bio(bio.get(), &name, &header, &data, &size) != 1) break;
    blocks.push_back(
        {name, header, Secret(std::string(reinterpret_cast<char*>(data), std::size_t(size)))});
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_clear_free(data, static_cast<std::size_t>(size));
  }
  if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) blocks.push_back({});
  ERR_clear_error();
  return blocks;
}

bool is_certificate(const Block& block) {
  static constexpr std::array kNames = {PEM_STRING_X509, PEM_STRING_X509_OLD,
                                        PEM_STRING_X509_TRUSTED};
  return std::ranges::find(kNames, block.name) != kNames.end();
}

bool is_private_key(const Block& block) {
  return block.name.ends_with("PRIVATE KEY");
}

const unsigned char* der_of(const Block& block) {
  return reinterpret_cast<const unsigned char*>(block.der.reveal().data());
}

/// For a file without the thing wanted: what it holds instead.
std::string held_instead(const std::vector<Block>& blocks, std::string_view wanted) {
  std::vector<std::string_view> names;
  for (const Block& block : blocks) names.push_back(block.name);
  if (names.empty()) return fmt::format("a PEM file with -----BEGIN {}----- is wanted", wanted);
  return fmt::format("it holds: {}; are certificate and key interchanged?", fmt::join(names, ", "));
}

std::optional<int64_t> seconds_of(const ASN1_TIME* time) {
  tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return std::nullopt;
  return ::timegm(&parts);
}

/// Adds one certificate; false if it is damaged.
bool add(const Block& block, Certificates& certificates) {
  const unsigned char* der = der_of(block);
  const Certificate x509(d2i_X509(nullptr, &der, static_cast<long>(block.der.reveal().size())));
  if (!x509) return false;
  const auto from = seconds_of(X509_get0_notBefore(x509.get()));
  const auto until = seconds_of(X509_get0_notAfter(x509.get()));
  const auto pem = pem_of(x509);
  if (!from || !until || !pem) return false;
  if (certificates.pem.empty()) {
    certificates.not_before_s = *from;
    certificates.not_after_s = *until;
  }
  certificates.latest_not_after_s = std::max(certificates.latest_not_after_s, *until);
  certificates.pem += *pem;
  return true;
}

Taken<Secret> pkcs8_of(const Block& block) {
  const unsigned char* der = der_of(block);
  const libcrypto::Key key(
      d2i_AutoPrivateKey(nullptr, &der, static_cast<long>(block.der.reveal().size())));
  auto pem = key ? pem_of(key) : std::nullopt;
  if (!pem) return refuse("the private key is damaged or of an unknown kind");
  return std::move(*pem);
}

}  // namespace

Taken<Certificates> read_certificates(const Secret& text) {
  Certificates certificates;
  const auto blocks = blocks_of(text);
  int number = 0;
  for (const Block& block : blocks) {
    const bool damaged = block.name.empty();
    if (!damaged && !is_certificate(block)) continue;
    ++number;
    if (damaged || !add(block, certificates)) {
      ERR_clear_error();
      return refuse(fmt::format("certificate {} of the file is damaged", number));
    }
  }
  if (certificates.pem.empty())
    return refuse("the file holds no certificate", held_instead(blocks, PEM_STRING_X509));
  return certificates;
}

Taken<Secret> read_private_key(const Secret& text) {
  const auto blocks = blocks_of(text);
  const auto block = std::ranges::find_if(blocks, is_private_key);
  if (block == blocks.end()) {
    if (!blocks.empty() && blocks.back().name.empty()) return refuse("the file is damaged");
    return refuse("the file holds no private key", held_instead(blocks, PEM_STRING_PKCS8INF));
  }
  if (block->name == PEM_STRING_PKCS8 || block->header.find("ENCRYPTED") != std::string::npos)
    return refuse("the private key is encrypted",
                  "nobody is there to type a passphrase: write it without one, for root alone: "
                  "(umask 077; openssl pkey -in OLD -out NEW)");
  auto key = pkcs8_of(*block);
  ERR_clear_error();
  return key;
}

std::size_t owner_of(const Certificates& certificates, const Secret& key_pem) {
  const auto certificate_bio = reader_of(certificates.pem), key_bio = reader_of(key_pem.reveal());
  const libcrypto::Key key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr));
  std::size_t owner = 0;
  for (std::size_t number = 1; key && owner == 0; ++number) {
    const Certificate x509(PEM_read_bio_X509(certificate_bio.get(), nullptr, nullptr, nullptr));
    if (!x509) break;
    if (X509_check_private_key(x509.get(), key.get()) == 1) owner = number;
  }
  ERR_clear_error();
  return owner;
}

}  // namespace sluice::config
