#include "worker/tls/context.h"

#include "worker/tls/openssl_layer.h"
#include "worker/tls/settings.h"

namespace sluice::tls {

Result<Context> Context::towards_clients(const config::Service& service,
                                         const ipc::KeyMaterial& keys) {
  return Context(SLUICE_TRY(settings_towards_clients(service, keys)));
}

Result<Context> Context::towards_server(const config::Server& server) {
  return Context(SLUICE_TRY(settings_towards_server(server)));
}

Result<std::unique_ptr<Layer>> Context::start() const {
  return OpensslLayer::start(settings_);
}

const Bytes& Context::fingerprint() const {
  return settings_->fingerprint;
}

}  // namespace sluice::tls
