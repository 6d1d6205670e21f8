#include "tests/support/login_proof.h"

#include <mysql.h>
#include <mysql/plugin_auth.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <array>
#include <memory>

namespace sluice::test {
namespace {

constexpr std::size_t kScrambleSize = 20;

std::string digest(const EVP_MD* kind, std::initializer_list<std::string_view> parts) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&::EVP_MD_CTX_free)> context(::EVP_MD_CTX_new(),
                                                                          &::EVP_MD_CTX_free);
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  unsigned size = 0;
  ::EVP_DigestInit_ex(context.get(), kind, nullptr);
  for (const auto part : parts) ::EVP_DigestUpdate(context.get(), part.data(), part.size());
  ::EVP_DigestFinal_ex(context.get(), out.data(), &size);
  return {reinterpret_cast<const char*>(out.data()), size};
}

std::string exclusive_or(std::string a, std::string_view b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<char>(a[i] ^ b[i % b.size()]);
  return a;
}

std::string native_proof(std::string_view password, std::string_view scramble) {
  const auto once = digest(::EVP_sha1(), {password});
  return exclusive_or(once, digest(::EVP_sha1(), {scramble, digest(::EVP_sha1(), {once})}));
}

std::string caching_sha2_proof(std::string_view password, std::string_view scramble) {
  const auto once = digest(::EVP_sha256(), {password});
  const auto twice = digest(::EVP_sha256(), {once});
  return exclusive_or(once, digest(::EVP_sha256(), {twice, scramble}));
}

/// As in mysql/client_plugin.h, which needs a header that Debian does not ship.
struct AuthenticationPlugin {
  int type;
  unsigned interface_version;
  const char *name, *author, *description;
  unsigned version[3];
  const char* license;
  void *api, *init, *deinit, *options;
  int (*authenticate_user)(MYSQL_PLUGIN_VIO* connection, MYSQL* client);
};
constexpr int kAuthenticationPlugin = 2;

/// What the library's plugin reads and writes, instead of a connection.
struct FakeConnection : MYSQL_PLUGIN_VIO {
  std::string question, answer;

  static int read(MYSQL_PLUGIN_VIO* self, unsigned char** out) {
    auto& question = static_cast<FakeConnection*>(self)->question;
    *out = reinterpret_cast<unsigned char*>(question.data());
    return static_cast<int>(question.size());
  }
  static int write(MYSQL_PLUGIN_VIO* self, const unsigned char* bytes, int size) {
    static_cast<FakeConnection*>(self)->answer.assign(reinterpret_cast<const char*>(bytes),
                                                      static_cast<std::size_t>(size));
    return 0;
  }
};

/// MariaDB's variant can't be had from OpenSSL: the password itself takes the place of the seed.
std::optional<std::string> ed25519_proof(std::string_view password, std::string_view scramble) {
  static const auto* plugin = [] {
    const std::unique_ptr<MYSQL, decltype(&::mysql_close)> library(::mysql_init(nullptr),
                                                                   &::mysql_close);
    return reinterpret_cast<AuthenticationPlugin*>(
        ::mysql_load_plugin(library.get(), "client_ed25519", kAuthenticationPlugin, 0));
  }();
  if (plugin == nullptr) return std::nullopt;
  std::string secret(password);
  MYSQL client{};
  client.passwd = secret.data();
  FakeConnection connection;
  connection.read_packet = &FakeConnection::read;
  connection.write_packet = &FakeConnection::write;
  connection.question = scramble;
  plugin->authenticate_user(&connection, &client);
  return connection.answer;
}

}  // namespace

bool knows_plugin(std::string_view plugin) {
  return first_proof(plugin, "", "").has_value();
}

std::optional<std::string> first_proof(std::string_view plugin, std::string_view password,
                                       std::string_view scramble) {
  if (plugin == "mysql_clear_password") return std::string(password) + '\0';
  if (plugin == "client_ed25519") return ed25519_proof(password, scramble);
  scramble = scramble.substr(0, kScrambleSize);
  if (plugin == "mysql_native_password")
    return password.empty() ? std::string() : native_proof(password, scramble);
  if (plugin == "caching_sha2_password")
    return password.empty() ? std::string() : caching_sha2_proof(password, scramble);
  return std::nullopt;
}

std::optional<std::string> encrypted_password(std::string_view pem, std::string_view password,
                                              std::string_view scramble) {
  const std::unique_ptr<BIO, decltype(&::BIO_free)> text(
      ::BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &::BIO_free);
  const std::unique_ptr<EVP_PKEY, decltype(&::EVP_PKEY_free)> key(
      ::PEM_read_bio_PUBKEY(text.get(), nullptr, nullptr, nullptr), &::EVP_PKEY_free);
  if (!key) return std::nullopt;
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&::EVP_PKEY_CTX_free)> context(
      ::EVP_PKEY_CTX_new(key.get(), nullptr), &::EVP_PKEY_CTX_free);
  const auto clear = exclusive_or(std::string(password) + '\0', scramble.substr(0, kScrambleSize));
  std::string out(static_cast<std::size_t>(::EVP_PKEY_get_size(key.get())), '\0');
  auto size = out.size();
  if (::EVP_PKEY_encrypt_init(context.get()) != 1 ||
      ::EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_OAEP_PADDING) != 1 ||
      ::EVP_PKEY_encrypt(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size,
                         reinterpret_cast<const unsigned char*>(clear.data()), clear.size()) != 1)
    return std::nullopt;
  out.resize(size);
  return out;
}

}  // namespace sluice::test
