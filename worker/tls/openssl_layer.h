#pragma once

#include <memory>

#include "worker/tls/layer.h"
#include "worker/tls/record_layer.h"
#include "worker/tls/settings.h"
#include "worker/tls/wire.h"
#include "worker/tls/witness.h"

namespace sluice::tls {

/// A connection whose handshake is OpenSSL's. As soon as all is done that needs OpenSSL, its
/// records go over to a RecordLayer, and OpenSSL's objects are dropped: with a server of TLS 1.3
/// that is when the first data have come, because session tickets come in front of them. Records
/// that RecordLayer doesn't know stay with OpenSSL.
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
  std::string why_not_movable() const override;
  Result<RecordsState> leave() override;

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
  Result<> take(Bytes& plain_out, Bytes& cipher_out);
  Result<> shake_hands(Bytes& cipher_out);
  Result<> read_records(Bytes& plain_out, Bytes& cipher_out);
  bool between_records() const;
  bool go_over();
  void stay();

  std::shared_ptr<Settings> settings_;
  Wire wire_;
  std::unique_ptr<Witness> witness_;  ///< before `ssl_`, which tells it things
  Ssl ssl_;
  std::unique_ptr<RecordLayer> records_;  ///< what goes on in the place of all of these
  State state_ = State::fresh;
  bool heard_ = false;  ///< data have come
};

}  // namespace sluice::tls
