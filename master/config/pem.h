// What stands in the PEM files of TLS, judged with libcrypto and brought into one form: what else a
// file holds (comments, another order of line breaks, the key beside its certificate) is left out,
// so that only a change that matters is one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/secret.h"
#include "master/config/refusal.h"

namespace sluice::config {

struct Certificates {
  std::string pem;  ///< in the order of the file
  int64_t not_before_s = 0,
          not_after_s = 0;         ///< of the first one: a chain begins with the owner's own
  int64_t latest_not_after_s = 0;  ///< of all of them
};

/// Refused: no certificate in it, or one that is damaged.
Taken<Certificates> read_certificates(const Secret& text);

/// The first private key, as PKCS #8. Refused: no key, a damaged one, one with a passphrase.
Taken<Secret> read_private_key(const Secret& text);

/// Which of the certificates the key belongs to, counted from 1; 0: to none. Both as they were read
/// here.
std::size_t owner_of(const Certificates& certificates, const Secret& key_pem);

}  // namespace sluice::config
