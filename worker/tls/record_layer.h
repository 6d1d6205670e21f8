// The records of an established connection (RFC 8446, 5; RFC 5246, 6.2, 7.2), for both roles, with
// OpenSSL's ciphers and nothing else of it: no handshake is ever made here. TLS 1.3 changes keys
// when the peer does or asks for it, and by itself long before a key is worn out. What the peer may
// not send ends the connection with an alert.
#pragma once

#include <memory>
#include <optional>

#include "worker/tls/aead.h"
#include "worker/tls/layer.h"

namespace sluice::tls {

/// How many records are made with one key of AES-GCM before TLS 1.3 gets the next one: a third of
/// what would be safe (RFC 8446, 5.5).
inline constexpr uint64_t kRecordsPerKey = 1 << 23;

class RecordLayer final : public Layer {
 public:
  /// From a state of our own making.
  static Result<std::unique_ptr<RecordLayer>> from(RecordsState state, Info info);
  /// What of the state that another process made can't be, beyond what from() takes for granted:
  /// the parts of records and messages. Empty if nothing.
  std::string_view doubt() const;

  Result<> receive(ByteSpan cipher_in, Bytes& plain_out, Bytes& cipher_out) override;
  Result<> send(ByteSpan plain, Bytes& cipher_out) override;
  void close(Bytes& cipher_out) override;
  bool established() const override { return phase_ == Phase::open; }
  bool peer_closed() const override { return established() && state_.theirs.closed; }
  Info info() const override { return info_; }
  std::string why_not_movable() const override;
  Result<RecordsState> leave() override;

 private:
  enum class Phase : uint8_t { open, failed, left };

  /// Why the connection ends, and the alert that tells the peer; none where the peer has told us.
  struct Refusal {
    std::optional<uint8_t> alert;
    std::string why;
  };
  template <class T = void>
  using Taken = tl::expected<T, Refusal>;

  /// A key with what a record's nonce is made of.
  struct Keys {
    AeadKey key;
    Nonce iv{};
  };

  RecordLayer(RecordsState state, Info info, const Secret& ours, const Secret& theirs);
  static tl::unexpected<Refusal> refuse(int alert, std::string_view why);
  void fail_with(const Refusal& refusal, Bytes& cipher_out);
  void end(Phase phase);

  // What we receive.
  Taken<> take(ByteSpan& in, Bytes& plain_out);
  Taken<> collect(ByteSpan& in, Bytes& plain_out);
  Taken<std::size_t> size_of_record(ByteSpan header) const;
  Taken<> open(ByteSpan record, Bytes& plain_out);
  Taken<ByteSpan> decrypt(ByteSpan record, std::span<std::byte> text, uint8_t& type);
  Taken<> take_content(uint8_t type, ByteSpan content);
  Taken<> take_alert(ByteSpan content);
  Taken<> take_handshake(ByteSpan content);
  Taken<> judge_message() const;
  Taken<> end_message(bool at_the_end);
  Taken<> count_useless();

  // What we send.
  bool write(uint8_t type, ByteSpan fragment, Bytes& cipher_out);
  bool write_alert(uint8_t level, uint8_t description, Bytes& cipher_out);
  bool answer(Bytes& cipher_out);
  bool update_keys(Bytes& cipher_out);

  bool renew(RecordsOneWay& way, Keys& keys) const;
  Nonce nonce(const Keys& keys, uint64_t number) const;
  bool tls_1_3() const { return state_.version == Version::tls_1_3; }
  /// Bytes of a nonce that are in front of each encrypted text.
  std::size_t explicit_size() const;

  RecordsState state_;
  Keys ours_, theirs_;
  Info info_;
  Phase phase_ = Phase::open;
  bool answer_due_ = false;  ///< within one receive()
  uint8_t useless_ = 0;      ///< records in a row that moved nothing
};

}  // namespace sluice::tls
