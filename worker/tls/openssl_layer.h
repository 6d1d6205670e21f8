#pragma once

#include <memory>

#include "worker/tls/layer.h"
#include "worker/tls/settings.h"
#include "worker/tls/wire.h"

namespace sluice::tls {

/// A connection whose handshake and records are OpenSSL's.
class OpensslLayer final : public Layer {
 public:
  static Result<std::unique_ptr<Layer>> start(std::shared_ptr<Settings> settings);
  ~OpensslLayer() override;
  OpensslLayer(const OpensslLayer&) = delete;
  OpensslLayer& operator=(const OpensslLayer&) = delete;

  Result<> receive(ByteSpan cipher_in, Bytes& plain_out, Bytes& cipher_out) override;
  Result<> send(ByteSpan plain, Bytes& cipher_out) override;
  void close(Bytes& cipher_out) override;
  bool established() const override;
  bool peer_closed() const override;
  Info info() const override;

 private:
  enum class State : uint8_t {
    fresh,  ///< no byte has come from the peer
    shaking_hands,
    established,
    failed,
  };

  explicit OpensslLayer(std::shared_ptr<Settings> settings) : settings_(std::move(settings)) {}
  Result<> prepare();
  void offer_session();
  Result<> judge_first_byte(ByteSpan cipher_in);
  Result<> take(Bytes& plain_out);
  Result<> shake_hands();
  Result<> read_records(Bytes& plain_out);

  std::shared_ptr<Settings> settings_;
  Wire wire_;
  Ssl ssl_;
  State state_ = State::fresh;
};

}  // namespace sluice::tls
