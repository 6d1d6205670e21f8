// What the tests of the configuration share: files that need not exist.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "master/config/parse.h"
#include "tests/master/config/certificates.h"

namespace sluice::config::test {

/// Base64 of 32 bytes "k".
inline constexpr std::string_view kKeyText = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=\n";

/// The secrets that tests refer to, by path.
inline Result<SecretFile> read_fake(const std::string& path) {
  static const std::map<std::string, std::pair<std::string, bool>> kFiles = {
      {"/etc/sluice/shop.password", {"s3cret\n", false}},
      {"/etc/sluice/open.password", {"s3cret\n", true}},
      {"/etc/sluice/empty.password", {"\n", false}},
      {"/etc/sluice/two_lines.password", {"s3cret\nmore\n", false}},
      {"/etc/sluice/f", {"f", false}},
      {"/etc/sluice/secrets.key", {std::string(kKeyText), false}},
      {"/run/credentials/shop", {"credential", false}},
      {"/run/credentials/stock", {"credential", false}},
  };
  const auto file = kFiles.find(path);
  if (file == kFiles.end()) return fail(Errc::not_found, path + ": No such file or directory");
  return SecretFile{Secret(file->second.first), file->second.second};
}

/// The PEM files that tests refer to, by path; others can read "open.key" alone.
inline const std::map<std::string, std::string>& pem_files() {
  static const auto kFiles = [] {
    const auto shop = make_certificate(kNow - kDay, kNow + 1000 * kDay);
    const auto other = make_certificate(kNow - kDay, kNow + 1000 * kDay);
    const auto soon = make_certificate(kNow - kDay, kNow + 12 * kDay);
    const auto expired = make_certificate(kNow - 9 * kDay, kNow - kDay);
    const auto future = make_certificate(kNow + 3 * kDay, kNow + 1000 * kDay);
    const auto weak = make_certificate(kNow - kDay, kNow + 1000 * kDay, Strength::rsa512);
    return std::map<std::string, std::string>{
        {"/etc/sluice/shop.pem", shop.certificate},
        {"/etc/sluice/shop.key", shop.key},
        {"/etc/sluice/ca.pem", other.certificate},
        {"/etc/sluice/other.pem", other.certificate},
        {"/etc/sluice/other.key", other.key},
        {"/etc/sluice/open.key", shop.key},
        {"/etc/sluice/both.pem", "# with its key\n" + shop.certificate + shop.key},
        {"/etc/sluice/chain.pem", shop.certificate + other.certificate},
        {"/etc/sluice/weak.pem", weak.certificate},
        {"/etc/sluice/weak.key", weak.key},
        {"/etc/sluice/soon.pem", soon.certificate},
        {"/etc/sluice/soon.key", soon.key},
        {"/etc/sluice/expired.pem", expired.certificate},
        {"/etc/sluice/expired.key", expired.key},
        {"/etc/sluice/future.pem", future.certificate},
        {"/etc/sluice/future.key", future.key},
        {"/etc/sluice/encrypted.key", encrypt_key(shop.key, KeyForm::pkcs8)},
        {"/etc/sluice/old-encrypted.key", encrypt_key(shop.key, KeyForm::traditional)},
        {"/etc/sluice/cut.pem", shop.certificate.substr(0, shop.certificate.size() / 2)},
        {"/etc/sluice/cut.key", shop.key.substr(0, shop.key.size() / 2)},
        {"/etc/sluice/password.txt", "s3cret\n"},
    };
  }();
  return kFiles;
}

inline Result<SecretFile> read_fake_pem(const std::string& path) {
  const auto file = pem_files().find(path);
  if (path.ends_with("forbidden.pem"))
    return tl::unexpected(Error{Errc::system, EACCES, path + ": Permission denied"});
  if (file == pem_files().end()) return fail(Errc::not_found, path + ": No such file or directory");
  return SecretFile{Secret(file->second), path.ends_with("open.key")};
}

/// One text as inputs. Lines "# --- file: NAME" begin further files.
inline Inputs inputs_of(std::string_view name, std::string text) {
  constexpr std::string_view kNext = "# --- file: ";
  Inputs inputs{{}, "/etc/sluice", "/run/credentials", read_fake, read_fake_pem, kNow};
  inputs.judge_tls = judge_with_libssl;
  inputs.sources.push_back({std::string(name), "", text.starts_with("# others-can-read")});
  while (!text.empty()) {
    const auto at = text.starts_with(kNext) ? 0 : text.find("\n" + std::string(kNext));
    inputs.sources.back().text = text.substr(0, at == std::string::npos ? at : at + 1);
    if (at == std::string::npos) break;
    text.erase(0, at + 1 + kNext.size());
    inputs.sources.push_back({text.substr(0, text.find('\n')), "", false});
    text.erase(0, text.find('\n') + 1);
  }
  for (Source& source : inputs.sources)
    if (source.text == "unreadable\n") source.error = "can't read the file: Permission denied";
  return inputs;
}

inline ipc::ParsedConfig parse_text(std::string text) {
  return parse(inputs_of("sluice.toml", std::move(text)));
}

}  // namespace sluice::config::test
