#include "master/keys.h"

#include "common/base/clock.h"

namespace sluice::master {
namespace {

constexpr int64_t kTicketKeyNs = 24 * 3600 * kSecondNs;

}  // namespace

config::KeyKinds wanted(const Keys& keys, int64_t now_ns) {
  const auto& have = keys.material;
  return {.ticket = have.ticket_key.empty() || now_ns - keys.ticket_made_ns >= kTicketKeyNs,
          .rsa = have.rsa_key_pem.empty(),
          .certificate = have.certificate_pem.empty()};
}

std::vector<std::string> arguments(const config::KeyKinds& wanted) {
  std::vector<std::string> out;
  if (wanted.ticket) out.emplace_back("--make-ticket-key");
  if (wanted.rsa) out.emplace_back("--make-rsa-key");
  if (wanted.certificate) out.emplace_back("--make-certificate");
  return out;
}

Keys joined(Keys keys, ipc::KeyMaterial made, int64_t now_ns) {
  auto& have = keys.material;
  if (!made.ticket_key.empty()) {
    have.ticket_key_before = std::exchange(have.ticket_key, std::move(made.ticket_key));
    keys.ticket_made_ns = now_ns;
  }
  if (!made.rsa_key_pem.empty()) have.rsa_key_pem = std::move(made.rsa_key_pem);
  if (!made.certificate_pem.empty()) {
    have.certificate_pem = std::move(made.certificate_pem);
    have.certificate_key_pem = std::move(made.certificate_key_pem);
  }
  return keys;
}

}  // namespace sluice::master
