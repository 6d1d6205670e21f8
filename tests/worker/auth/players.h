// The two ends of an exchange as servers and client libraries play them, for what crosses sluice:
// what each says next, and what it has learnt. Their rules are those of MySQL's
// sql/auth/sha2_password.cc and sql-common/client_authentication.cc, written down anew.
#pragma once

#include <optional>
#include <string>

#include "tests/support/certificates.h"
#include "worker/auth/exchange.h"

namespace sluice::worker {

inline constexpr std::string_view kScramble = "twenty bytes of salt";
inline const std::string kOk("\0\0\0\2\0\0\0", 7);
inline const std::string kFullAuthentication = "\1\4", kFastSuccess = "\1\3";

inline mysql::Scramble scramble_of(std::string_view text) {
  mysql::Scramble out{};
  for (std::size_t i = 0; i < out.size() && i < text.size(); ++i)
    out[i] = static_cast<std::byte>(text[i]);
  return out;
}

/// Keys are slow to make, so all tests have the same: sluice's own, and the server's.
inline const tls::RsaKey& rsa_key(int which) {
  static const auto make = [] {
    return *tls::RsaKey::from_pem(Secret(test::make_key_pem(test::KeyKind::rsa2048)));
  };
  static const tls::RsaKey keys[] = {make(), make()};
  return keys[which];
}
inline const tls::RsaKey& own_key() {
  return rsa_key(0);
}
inline const tls::RsaKey& server_key() {
  return rsa_key(1);
}

/// A client with a password, over a leg that it takes for safe or not.
struct Client {
  std::string plugin, password;
  bool safe = false;

  /// In its HandshakeResponse41.
  std::string response() const {
    if (password.empty()) return plugin == "sha256_password" ? std::string(1, '\0') : "";
    if (plugin == "sha256_password") return safe ? password + '\0' : "\1";
    return "a proof of 32 bytes, say a hash.";
  }
  /// To what the server says; nothing when it just waits.
  std::optional<std::string> answer(const std::string& said) const {
    if (said == kFullAuthentication) return safe ? password + '\0' : "\2";
    if (said.starts_with("\1-----BEGIN PUBLIC KEY")) return encrypted(said.substr(1));
    return std::nullopt;
  }
  std::string encrypted(const std::string& key) const {
    const auto bytes = tls::encrypt_password(key, Secret(password), scramble_of(kScramble));
    return bytes ? std::string(as_text(*bytes)) : "can't";
  }
};

/// A server that has no hash of the client's in its cache, so it wants the password.
struct Server {
  std::string plugin;
  bool safe = false;
  bool lets_all_in = false;
  std::optional<std::string> learnt{};  ///< the password

  std::string answer(const std::string& said) {
    const auto judged = judge(said);
    return lets_all_in && judged[0] == '\xFF' ? kOk : judged;
  }

 private:
  std::string judge(const std::string& said) {
    const bool caching = plugin == "caching_sha2_password";
    if (caching && said.starts_with("a proof")) return kFullAuthentication;
    if (said.empty() || said == std::string(1, '\0')) return kOk;  // an account without a password
    if (safe && said.back() == '\0') return learn(said.substr(0, said.size() - 1));
    if (!safe && said == (caching ? "\2" : "\1")) return '\1' + server_key().public_pem();
    const auto password = server_key().decrypt_password(as_bytes(said), scramble_of(kScramble));
    return password && !safe ? learn(password->reveal()) : "\xFF\x15\x04#28000Access denied";
  }
  std::string learn(std::string password) {
    learnt = std::move(password);
    return kOk;
  }
};

}  // namespace sluice::worker
