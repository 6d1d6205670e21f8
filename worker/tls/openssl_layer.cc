#include "worker/tls/openssl_layer.h"

#include <fmt/format.h>
#include <openssl/err.h>

#include "worker/tls/errors.h"
#include "worker/tls/peer.h"

namespace sluice::tls {
namespace {

constexpr std::string_view kBroken = "broken TLS";

/// Lends the caller's buffers to the BIO for the time of one call.
class Lend {
 public:
  Lend(Wire& wire, ByteSpan in, Bytes& out) : wire_(wire) { wire_ = {in, &out}; }
  ~Lend() { wire_ = {}; }
  Lend(const Lend&) = delete;
  Lend& operator=(const Lend&) = delete;

 private:
  Wire& wire_;
};

}  // namespace

Result<std::unique_ptr<Layer>> OpensslLayer::start(std::shared_ptr<Settings> settings) {
  std::unique_ptr<OpensslLayer> layer(new OpensslLayer(std::move(settings)));
  SLUICE_TRY(layer->prepare());
  return layer;
}

Result<> OpensslLayer::prepare() {
  ERR_clear_error();
  ssl_.reset(SSL_new(settings_->context.get()));
  Bio bio = make_bio(wire_);
  witness_ = std::make_unique<Witness>();
  if (!ssl_ || !bio) return fail(Errc::unavailable, "no TLS connection: " + take_reason());
  SSL_set_bio(ssl_.get(), bio.get(), bio.get());
  bio.release();  // one reference, for both directions
  witness_->watch(ssl_.get());
  if (settings_->role == Role::server) {
    SSL_set_accept_state(ssl_.get());
    return {};
  }
  SSL_set_connect_state(ssl_.get());
  if (!settings_->host.empty() &&
      SSL_set_tlsext_host_name(ssl_.get(), settings_->host.c_str()) != 1)
    return fail(Errc::config, fmt::format("\"{}\" can't be asked for by SNI", settings_->host));
  offer_session();
  return {};
}

/// A copy is offered: OpenSSL takes a session of TLS 1.3 for used up after one connection, but
/// servers take it again, and more connections may be on their way at the same time.
void OpensslLayer::offer_session() {
  const SSL_SESSION* last = settings_->session.get();
  if (last == nullptr || !certificate_still_valid(last)) return;
  const Session copy(SSL_SESSION_dup(last));
  if (copy) SSL_set_session(ssl_.get(), copy.get());
}

OpensslLayer::~OpensslLayer() {
  // A handshake that came to nothing may be the fault of the session that it offered.
  if (settings_ && !established()) settings_->session.reset();
}

Result<> OpensslLayer::receive(ByteSpan cipher_in, Bytes& plain_out, Bytes& cipher_out) {
  if (records_) return records_->receive(cipher_in, plain_out, cipher_out);
  if (state_ == State::failed) return fail(Errc::unavailable, "TLS has failed before");
  const Lend lend(wire_, cipher_in, cipher_out);
  auto taken = judge_first_byte(cipher_in);
  if (taken) taken = take(plain_out, cipher_out);
  if (!taken) state_ = State::failed;
  return taken;
}

/// A peer that speaks something else is told apart before the library sees a byte of it.
Result<> OpensslLayer::judge_first_byte(ByteSpan cipher_in) {
  if (state_ != State::fresh || cipher_in.empty()) return {};
  const auto first = std::to_integer<int>(cipher_in.front());
  if (first != SSL3_RT_HANDSHAKE && first != SSL3_RT_ALERT)
    return fail(Errc::bad_input, fmt::format("not TLS: the first byte is {:#04x}", first));
  state_ = State::shaking_hands;
  return {};
}

Result<> OpensslLayer::take(Bytes& plain_out, Bytes& cipher_out) {
  if (!established()) SLUICE_TRY(shake_hands(cipher_out));
  if (!established()) return {};
  return read_records(plain_out, cipher_out);
}

Result<> OpensslLayer::shake_hands(Bytes& cipher_out) {
  ERR_clear_error();
  const auto before = cipher_out.size();
  const int result = SSL_do_handshake(ssl_.get());
  witness_->sent(ByteSpan(cipher_out).subspan(before));
  if (result == 1) {
    state_ = State::established;
    if (!why_not_ours(ssl_.get()).empty()) stay();
    return {};
  }
  if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ) return {};
  return take_failure(ssl_.get(), "TLS handshake failed");
}

Result<> OpensslLayer::read_records(Bytes& plain_out, Bytes& cipher_out) {
  std::byte record[SSL3_RT_MAX_PLAIN_LENGTH];
  do {
    if (go_over()) return records_->receive(wire_.in, plain_out, cipher_out);
    ERR_clear_error();
    std::size_t size = 0;
    const int result = SSL_read_ex(ssl_.get(), record, sizeof record, &size);
    ByteWriter(plain_out).raw({record, size});
    if (size > 0) heard_ = true;
    if (result == 1) continue;
    const int error = SSL_get_error(ssl_.get(), result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_ZERO_RETURN) return {};
    return take_failure(ssl_.get(), kBroken);
  } while (!wire_.in.empty());
  go_over();
  return {};
}

/// Nothing of the connection is inside OpenSSL, and all session tickets that come with a handshake
/// have come.
bool OpensslLayer::between_records() const {
  const bool has_tickets =
      heard_ || settings_->role == Role::server || SSL_version(ssl_.get()) == TLS1_2_VERSION;
  return has_tickets && SSL_has_pending(ssl_.get()) == 0 && SSL_get_shutdown(ssl_.get()) == 0 &&
         SSL_get_key_update_type(ssl_.get()) == SSL_KEY_UPDATE_NONE;
}

/// Whether the records are ours from now on.
bool OpensslLayer::go_over() {
  if (!witness_ || !between_records()) return false;
  auto state = witness_->state_of(ssl_.get(), settings_->role);
  if (state)
    if (auto made = RecordLayer::from(std::move(*state), info_of(ssl_.get())))
      records_ = std::move(*made);
  if (!records_) return stay(), false;
  ssl_.reset();
  witness_.reset();
  settings_.reset();
  return true;
}

void OpensslLayer::stay() {
  SSL_set_msg_callback(ssl_.get(), nullptr);
  SSL_set_app_data(ssl_.get(), nullptr);
  witness_.reset();
}

Result<> OpensslLayer::send(ByteSpan plain, Bytes& cipher_out) {
  if (records_) return records_->send(plain, cipher_out);
  if (!established()) return fail(Errc::internal, "TLS is not established");
  if (plain.empty()) return {};  // SSL_write(3) knows no empty records
  const Lend lend(wire_, {}, cipher_out);
  ERR_clear_error();
  std::size_t size = 0;
  if (SSL_write_ex(ssl_.get(), plain.data(), plain.size(), &size) == 1) return {};
  state_ = State::failed;
  return take_failure(ssl_.get(), kBroken);
}

void OpensslLayer::close(Bytes& cipher_out) {
  if (records_) return records_->close(cipher_out);
  if (!established() || (SSL_get_shutdown(ssl_.get()) & SSL_SENT_SHUTDOWN)) return;
  const Lend lend(wire_, {}, cipher_out);
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

bool OpensslLayer::established() const {
  return records_ ? records_->established() : state_ == State::established;
}

bool OpensslLayer::peer_closed() const {
  if (records_) return records_->peer_closed();
  return established() && (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN);
}

Info OpensslLayer::info() const {
  return records_ ? records_->info() : info_of(ssl_.get());
}

std::string OpensslLayer::why_not_movable() const {
  if (records_) return records_->why_not_movable();
  if (state_ == State::failed) return "its TLS has failed";
  if (!established()) return "its TLS handshake is not over";
  if (auto why = why_not_ours(ssl_.get()); !why.empty()) return why;
  if (!witness_) return "its TLS keys are not known";
  if (SSL_get_shutdown(ssl_.get()) != 0) return "its TLS is closed";
  return heard_ ? "a TLS record has come in part" : "nothing has come over its TLS";
}

Result<RecordsState> OpensslLayer::leave() {
  if (auto why = why_not_movable(); !why.empty()) return fail(Errc::unavailable, std::move(why));
  return records_->leave();
}

}  // namespace sluice::tls
