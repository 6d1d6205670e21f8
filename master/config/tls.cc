#include "master/config/tls.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "common/base/units.h"
#include "master/config/expiry.h"
#include "master/config/pem.h"

namespace sluice::config {
namespace {

/// The TLS of one service or server, and where its keys stand.
struct Side {
  Tls& tls;
  std::string own;        ///< its table
  std::string inherited;  ///< that of its cluster; empty for a service
};

/// Adds the file's name to why its content was refused.
template <class T>
Taken<T> in_file(const std::string& file, Taken<T> taken) {
  if (!taken) taken.error().text = fmt::format("{}: {}", file, taken.error().text);
  return taken;
}

class TlsReader {
 public:
  TlsReader(const Inputs& inputs, const Places& places, Problems& problems)
      : inputs_(inputs), places_(places), problems_(problems) {}

  void read(const Side& side);

 private:
  using Severity = void (Problems::*)(Place, std::string, std::string, std::string);

  bool given(const Side& side, std::string_view key) const;
  std::string path_of(const Side& side, std::string_view key) const;
  void report(Severity severity, const std::string& path, std::string text, std::string hint = {});
  void check_off(const Side& side);
  void check_verify(const Side& side);
  void check_pair(const Side& side);
  void read_ca(const Side& side);
  void read_pair(const Side& side);
  void judge(const Side& side);
  void check_time(const std::string& path, const std::string& file, const Certificates& found);
  const Taken<Certificates>& certificates_of(const std::string& file);
  Taken<Secret> key_of(const std::string& file, const std::string& path);
  Taken<SecretFile> content_of(const std::string& file) const;

  const Inputs& inputs_;
  const Places& places_;
  Problems& problems_;
  std::map<std::string, Taken<Certificates>> known_;  ///< servers of a cluster share theirs
  std::set<std::pair<std::string, std::string>> reported_;
};

bool TlsReader::given(const Side& side, std::string_view key) const {
  return places_.has(join(side.own, key)) ||
         (!side.inherited.empty() && places_.has(join(side.inherited, key)));
}

std::string TlsReader::path_of(const Side& side, std::string_view key) const {
  const bool inherits = !side.inherited.empty() && !places_.has(join(side.own, key));
  return join(inherits ? side.inherited : side.own, key);
}

/// What a cluster says for its servers is reported once.
void TlsReader::report(Severity severity, const std::string& path, std::string text,
                       std::string hint) {
  if (reported_.emplace(path, text).second)
    (problems_.*severity)(places_.of(path), path, std::move(text), std::move(hint));
}

void TlsReader::read(const Side& side) {
  if (side.tls.mode == TlsMode::off) return check_off(side);
  check_verify(side);
  check_pair(side);
  read_ca(side);
  read_pair(side);
  judge(side);
}

void TlsReader::check_off(const Side& side) {
  constexpr auto kHint = "mode = \"preferred\", or \"required\"";
  constexpr std::array kOthers = {"verify", "ca", "certificate", "key", "min_version", "ciphers"};
  if (!given(side, "mode")) {
    const auto found =
        std::ranges::find_if(kOthers, [&](const char* key) { return given(side, key); });
    if (found != kOthers.end())
      report(&Problems::warning, path_of(side, *found), "has no effect: TLS is off without a mode",
             kHint);
  } else if (side.tls.verify != TlsVerify::none) {
    report(&Problems::warning, path_of(side, "verify"), "has no effect: TLS is off", kHint);
  }
}

void TlsReader::check_verify(const Side& side) {
  const auto verify = side.tls.verify;
  if (verify != TlsVerify::none && !given(side, "ca"))
    report(&Problems::error, path_of(side, "verify"),
           fmt::format("\"{}\" needs to know whom to trust", enum_name(verify)),
           "ca = \"/etc/ssl/certs/ca-certificates.crt\", or the certificate of your own authority");
  if (verify == TlsVerify::none && !side.inherited.empty() && given(side, "ca"))
    report(&Problems::warning, path_of(side, "ca"), "has no effect: verify is \"none\"",
           "verify = \"identity\", or \"ca\"");
}

void TlsReader::check_pair(const Side& side) {
  const bool certificate = given(side, "certificate"), key = given(side, "key");
  if (certificate && !key)
    report(&Problems::error, path_of(side, "certificate"), "a certificate without its key",
           "key = \"...\"; it may be the same file");
  if (key && !certificate)
    report(&Problems::error, path_of(side, "key"), "a key without its certificate",
           "certificate = \"...\"; it may be the same file");
}

void TlsReader::read_ca(const Side& side) {
  const std::string& file = side.tls.ca;
  if (file.empty()) return;
  const auto path = path_of(side, "ca");
  const auto& found = certificates_of(file);
  if (!found) return report(&Problems::error, path, found.error().text, found.error().hint);
  side.tls.ca_pem = found->pem;
  if (found->latest_not_after_s < inputs_.now_s)
    report(&Problems::warning, path, fmt::format("every certificate in {} has expired", file),
           "nobody's certificate is accepted by it");
}

void TlsReader::read_pair(const Side& side) {
  Tls& tls = side.tls;
  if (tls.certificate.empty() || tls.key.empty()) return;
  const auto path = path_of(side, "certificate"), key_path = path_of(side, "key");
  const auto& found = certificates_of(tls.certificate);
  auto key = key_of(tls.key, key_path);
  if (!found) report(&Problems::error, path, found.error().text, found.error().hint);
  if (!key) report(&Problems::error, key_path, key.error().text, key.error().hint);
  if (!found || !key) return;
  check_time(path, tls.certificate, *found);
  if (const auto owner = owner_of(*found, *key); owner != 1)
    return report(
        &Problems::error, key_path,
        fmt::format("{} is not the key of {}", tls.key, tls.certificate),
        owner == 0
            ? "if the certificate was renewed with a new key, put that key there too; reload "
              "when both files are in place"
            : fmt::format("it is that of certificate {} of the file; the owner's own has to "
                          "come first",
                          owner));
  tls.certificate_pem = found->pem;
  tls.key_pem = std::move(*key);
  tls.not_after_s = found->not_after_s;
}

void TlsReader::judge(const Side& side) {
  if (!inputs_.judge_tls) return;
  if (auto refused = inputs_.judge_tls(side.tls))
    report(&Problems::error, path_of(side, refused->key), std::move(refused->why.text),
           std::move(refused->why.hint));
}

void TlsReader::check_time(const std::string& path, const std::string& file,
                           const Certificates& found) {
  const auto now = inputs_.now_s;
  const auto until = format_date(found.not_after_s);
  constexpr auto kHint = "put the renewed one there, and reload";
  if (found.not_before_s > now)
    report(&Problems::warning, path,
           fmt::format("{} is not valid before {}", file, format_date(found.not_before_s)));
  if (found.not_after_s < now)
    report(&Problems::warning, path, fmt::format("{} has expired: {}", file, until), kHint);
  else if (found.not_after_s < now + kExpiresSoonS)
    report(&Problems::warning, path,
           fmt::format("{} expires soon: {}, {} days from now", file, until,
                       days_until(found.not_after_s, now)),
           kHint);
}

const Taken<Certificates>& TlsReader::certificates_of(const std::string& file) {
  const auto [entry, is_new] = known_.try_emplace(file);
  if (!is_new) return entry->second;
  const auto content = content_of(file);
  entry->second =
      content ? in_file(file, read_certificates(content->text)) : tl::unexpected(content.error());
  return entry->second;
}

Taken<Secret> TlsReader::key_of(const std::string& file, const std::string& path) {
  const auto content = content_of(file);
  if (!content) return tl::unexpected(content.error());
  if (content->others_can_read)
    report(&Problems::warning, path, fmt::format("every user can read {}", file),
           fmt::format("chmod o-r {}", file));
  return in_file(file, read_private_key(content->text));
}

Taken<SecretFile> TlsReader::content_of(const std::string& file) const {
  auto content = inputs_.read_pem(file);
  if (content) return std::move(*content);
  return refuse(fmt::format("can't read {}", content.error().message),
                content.error().sys_errno == EACCES
                    ? "its mode, or that of a directory above it, does not let sluiced; as a "
                      "service not even root overrides modes"
                    : "");
}

}  // namespace

void read_tls(Config& config, const Inputs& inputs, const Places& places, Problems& problems) {
  TlsReader reader(inputs, places, problems);
  for (Cluster& cluster : config.clusters) {
    const auto path = join("cluster", cluster.name);
    for (Server& server : cluster.servers)
      reader.read(
          {server.tls, join(join(join(path, "servers"), server.name), "tls"), join(path, "tls")});
  }
  for (Service& service : config.services)
    reader.read({service.tls, join(join("service", service.name), "tls"), ""});
}

}  // namespace sluice::config
