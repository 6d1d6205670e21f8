// What the tests of the configuration share: files that need not exist.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "master/config/parse.h"

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

/// One text as inputs. Lines "# --- file: NAME" begin further files.
inline Inputs inputs_of(std::string_view name, std::string text) {
  constexpr std::string_view kNext = "# --- file: ";
  Inputs inputs{{}, "/etc/sluice", "/run/credentials", read_fake};
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
