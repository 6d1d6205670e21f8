#include "worker/tls/initialise.h"

#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <time.h>

#include <array>

#include "worker/tls/errors.h"

namespace sluice::tls {

Result<> initialise() {
  ::tzset();  // or the first certificate's date does it, and wants /etc/localtime
  constexpr uint64_t kAll = OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS |
                            OPENSSL_INIT_ADD_ALL_CIPHERS | OPENSSL_INIT_ADD_ALL_DIGESTS |
                            OPENSSL_INIT_LOAD_CONFIG;
  std::array<unsigned char, 1> seed;
  if (OPENSSL_init_ssl(kAll, nullptr) != 1 || RAND_bytes(seed.data(), seed.size()) != 1 ||
      RAND_priv_bytes(seed.data(), seed.size()) != 1)
    return fail(Errc::system, "the TLS library does not start: " + take_reason());
  return {};
}

}  // namespace sluice::tls
