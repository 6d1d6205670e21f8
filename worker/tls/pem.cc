#include "worker/tls/pem.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "worker/tls/errors.h"

namespace sluice::tls {
namespace {

/// A BIO that reads `text` where it lies.
Bio reader(std::string_view text) {
  ERR_clear_error();
  return Bio(BIO_new_mem_buf(text.empty() ? "" : text.data(), static_cast<int>(text.size())));
}

int no_passphrase(char*, int, int, void*) noexcept {
  return -1;
}

tl::unexpected<Error> unreadable(std::string_view name, std::string_view what) {
  return fail(Errc::bad_input, fmt::format("{}: no {} can be read: {}", name, what, take_reason()));
}

}  // namespace

Result<std::vector<Certificate>> read_certificates(std::string_view pem, std::string_view name) {
  const Bio in = reader(pem);
  std::vector<Certificate> all;
  while (auto* one = PEM_read_bio_X509(in.get(), nullptr, no_passphrase, nullptr))
    all.emplace_back(one);
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (all.empty() || !at_end) return unreadable(name, "certificate");
  ERR_clear_error();
  return all;
}

Result<Key> read_private_key(const Secret& pem, std::string_view name) {
  const Bio in = reader(pem.reveal());
  Key key(PEM_read_bio_PrivateKey(in.get(), nullptr, no_passphrase, nullptr));
  if (!key) return unreadable(name, "private key");
  return key;
}

Result<Key> read_public_key(std::string_view pem, std::string_view name) {
  const Bio in = reader(pem);
  Key key(PEM_read_bio_PUBKEY(in.get(), nullptr, no_passphrase, nullptr));
  if (!key) return unreadable(name, "public key");
  return key;
}

Result<std::string> write_public_key(const Key& key) {
  ERR_clear_error();
  const Bio out(BIO_new(BIO_s_mem()));
  if (!out || PEM_write_bio_PUBKEY(out.get(), key.get()) != 1)
    return fail(Errc::internal, "a public key can't be written: " + take_reason());
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return std::string(text, static_cast<std::size_t>(size));
}

}  // namespace sluice::tls
