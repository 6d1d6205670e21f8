#include "master/config/secrets.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

#include "common/base/unique_fd.h"
#include "common/base/units.h"

namespace sluice::config {
namespace {

constexpr std::size_t kMaxSecret = 64 << 10, kMaxPem = 1 << 20;
constexpr std::size_t kKeySize = 32, kNonceSize = 12, kTagSize = 16;
constexpr char kFormat = 1;
constexpr std::string_view kPurpose = "sluice configuration value";  // bound in as associated data

struct FreeCipher {
  void operator()(EVP_CIPHER_CTX* context) const noexcept { EVP_CIPHER_CTX_free(context); }
};
using Cipher = std::unique_ptr<EVP_CIPHER_CTX, FreeCipher>;

const uint8_t* bytes(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}
uint8_t* bytes(std::string& text) {
  return reinterpret_cast<uint8_t*>(text.data());
}

tl::unexpected<Error> crypto_failed(std::string_view what) {
  return fail(Errc::internal, fmt::format("libcrypto: {} failed", what));
}

std::string to_base64(std::string_view raw) {
  std::string text((raw.size() + 2) / 3 * 4 + 1, '\0');  // EVP_EncodeBlock adds a NUL
  const int n = EVP_EncodeBlock(bytes(text), bytes(raw), static_cast<int>(raw.size()));
  text.resize(static_cast<std::size_t>(n));
  return text;
}

/// The bytes of canonical Base64, or nothing.
Result<Secret> from_base64(std::string_view text) {
  const auto bad = [] { return fail(Errc::bad_input, "not valid Base64"); };
  if (text.empty() || text.size() % 4 != 0 || text.size() > kMaxSecret) return bad();
  Secret raw(std::string(text.size() / 4 * 3, '\0'));
  const int n = EVP_DecodeBlock(bytes(raw.reveal()), bytes(text), static_cast<int>(text.size()));
  if (n < 0) return bad();
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  raw.reveal().resize(static_cast<std::size_t>(n) - padding);
  // EVP_DecodeBlock skips blanks and takes "=" anywhere; only what it would write is right.
  if (Secret(to_base64(raw.reveal())).reveal() != text) return bad();
  return raw;
}

Result<Secret> key_of(const Secret& key_text) {
  const auto line = SLUICE_TRY(password_of(key_text));
  auto key = from_base64(line.reveal());
  if (!key || key->reveal().size() != kKeySize)
    return fail(Errc::bad_input, "not a key file (it holds 32 bytes as Base64)");
  return key;
}

Result<> write_all(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const auto n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno != EINTR) return fail_errno(fmt::format("write {}", path));
    if (n > 0) text.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

/// Makes the key file whole or not at all; one that another process made meanwhile stays.
Result<> make_key_file(const std::string& path) {
  Secret key(std::string(kKeySize, '\0'));
  if (RAND_bytes(bytes(key.reveal()), kKeySize) != 1) return crypto_failed("RAND_bytes");
  Secret text(to_base64(key.reveal()) + "\n");

  std::string temporary = path + ".XXXXXX";
  const UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));  // mode 0600
  if (!fd) return fail_errno(fmt::format("make {}", path));
  auto written = write_all(fd.get(), text.reveal(), temporary);
  if (written && ::fsync(fd.get()) != 0) written = fail_errno(fmt::format("fsync {}", temporary));
  if (written && ::link(temporary.c_str(), path.c_str()) != 0 && errno != EEXIST)
    written = fail_errno(fmt::format("make {}", path));
  ::unlink(temporary.c_str());
  return written;
}

Result<SecretFile> read_file(const std::string& path, std::size_t most) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) return fail_errno(path);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return fail_errno(path);
  if (!S_ISREG(status.st_mode))
    return fail(Errc::bad_input, fmt::format("{}: not a regular file", path));
  SecretFile file;
  file.others_can_read = (status.st_mode & S_IROTH) != 0;
  Secret buffer(std::string(most + 1, '\0'));  // one piece: growing would leave copies behind
  std::size_t size = 0;
  while (size < buffer.reveal().size()) {
    const auto n = ::read(fd.get(), buffer.reveal().data() + size, buffer.reveal().size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(path);
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
  }
  if (size > most)
    return fail(Errc::bad_input, fmt::format("{}: larger than {}", path, format_size(most)));
  file.text = Secret(buffer.reveal().substr(0, size));
  return file;
}

}  // namespace

Result<SecretFile> read_secret_file(const std::string& path) {
  return read_file(path, kMaxSecret);
}

Result<SecretFile> read_pem_file(const std::string& path) {
  return read_file(path, kMaxPem);
}

Result<Secret> password_of(const Secret& text) {
  std::string_view line = text.reveal();
  if (line.ends_with('\n')) line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.empty()) return fail(Errc::bad_input, "the file is empty");
  if (line.find_first_of(std::string_view("\n\r\0", 3)) != std::string_view::npos)
    return fail(Errc::bad_input, "the file has more than one line");
  return Secret(std::string(line));
}

Result<std::string> encrypt(const Secret& clear, const std::string& key_path) {
  if (::access(key_path.c_str(), F_OK) != 0 && errno == ENOENT) SLUICE_TRY(make_key_file(key_path));
  const auto file = SLUICE_TRY(read_secret_file(key_path));
  const auto key = key_of(file.text);
  if (!key) return fail(key.error().code, fmt::format("{}: {}", key_path, key.error().message));

  const std::string& text = clear.reveal();
  std::string raw(1 + kNonceSize + text.size() + kTagSize, kFormat);
  uint8_t* nonce = bytes(raw) + 1;
  uint8_t* out = nonce + kNonceSize;
  const Cipher cipher(EVP_CIPHER_CTX_new());
  int n = 0;
  if (RAND_bytes(nonce, kNonceSize) != 1) return crypto_failed("RAND_bytes");
  if (!cipher ||
      EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, bytes(key->reveal()), nonce) !=
          1 ||
      EVP_EncryptUpdate(cipher.get(), nullptr, &n, bytes(kPurpose),
                        static_cast<int>(kPurpose.size())) != 1 ||
      EVP_EncryptUpdate(cipher.get(), out, &n, bytes(text), static_cast<int>(text.size())) != 1 ||
      EVP_EncryptFinal_ex(cipher.get(), out + n, &n) != 1 ||
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, kTagSize, out + text.size()) != 1)
    return crypto_failed("AES-256-GCM");
  return std::string(kEncryptedPrefix) + to_base64(raw);
}

Result<Secret> decrypt(std::string_view value, const std::string& key_path) {
  const auto file = SLUICE_TRY(read_secret_file(key_path));
  return decrypt_with(value, file.text);
}

Result<Secret> decrypt_with(std::string_view value, const Secret& key_text) {
  const auto key = SLUICE_TRY(key_of(key_text));
  if (!value.starts_with(kEncryptedPrefix))
    return fail(Errc::bad_input, "the value does not begin with \"encrypted:\"");
  auto raw = from_base64(value.substr(kEncryptedPrefix.size()));
  if (!raw) return fail(Errc::bad_input, "the encrypted value is not valid Base64");
  std::string& in = raw->reveal();
  if (in.size() < 1 + kNonceSize + kTagSize || in[0] != kFormat)
    return fail(Errc::bad_input, "the encrypted value is cut off or of an unknown format");

  const uint8_t* nonce = bytes(in) + 1;
  const auto size = in.size() - 1 - kNonceSize - kTagSize;
  Secret clear(std::string(size, '\0'));
  uint8_t* out = bytes(clear.reveal());
  uint8_t* tag = bytes(in) + in.size() - kTagSize;
  const Cipher cipher(EVP_CIPHER_CTX_new());
  int n = 0;
  if (!cipher ||
      EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, bytes(key.reveal()), nonce) !=
          1 ||
      EVP_DecryptUpdate(cipher.get(), nullptr, &n, bytes(kPurpose),
                        static_cast<int>(kPurpose.size())) != 1 ||
      EVP_DecryptUpdate(cipher.get(), out, &n, nonce + kNonceSize, static_cast<int>(size)) != 1 ||
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, kTagSize, tag) != 1)
    return crypto_failed("AES-256-GCM");
  if (EVP_DecryptFinal_ex(cipher.get(), out + n, &n) != 1)
    return fail(Errc::bad_input, "the value was encrypted with another key, or is damaged");
  return clear;
}

}  // namespace sluice::config
