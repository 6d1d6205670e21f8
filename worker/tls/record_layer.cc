#include "worker/tls/record_layer.h"

#include <fmt/format.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cassert>

#include "worker/tls/key_schedule.h"

namespace sluice::tls {
namespace {

constexpr std::size_t kHeaderSize = 5, kMessageHeaderSize = 4;
/// What encryption may add to a fragment: RFC 8446, 5.2; RFC 5246, 6.2.3.
constexpr std::size_t kMaxExpansion13 = 256, kMaxExpansion12 = 2048;
/// As many as anybody could need; OpenSSL takes 32 in a row.
constexpr uint8_t kMaxUseless = 32;
/// The longest NewSessionTicket that RFC 8446, 4.6.1, can express.
constexpr std::size_t kMaxTicket = 4 + 4 + 1 + 255 + 2 + 65535 + 2 + 65534;
/// No connection gets there, but a state that another process made could start there.
constexpr uint64_t kMaxRecords = uint64_t{1} << 62;

constexpr uint8_t kTypes[] = {SSL3_RT_CHANGE_CIPHER_SPEC, SSL3_RT_ALERT, SSL3_RT_HANDSHAKE,
                              SSL3_RT_APPLICATION_DATA};

uint8_t byte_at(ByteSpan bytes, std::size_t at) {
  return std::to_integer<uint8_t>(bytes[at]);
}
std::size_t uint16_at(ByteSpan bytes, std::size_t at) {
  return std::size_t{byte_at(bytes, at)} << 8 | byte_at(bytes, at + 1);
}
std::size_t uint24_at(ByteSpan bytes, std::size_t at) {
  return std::size_t{byte_at(bytes, at)} << 16 | uint16_at(bytes, at + 1);
}
void put(uint64_t value, std::span<std::byte> to) {
  for (auto at = to.rbegin(); at != to.rend(); ++at, value >>= 8)
    *at = static_cast<std::byte>(value);
}

/// Moves bytes from the front of `in` to the back of `part`, until that has `size`.
void fill(Bytes& part, std::size_t size, ByteSpan& in) {
  const auto n = std::min(size - std::min(size, part.size()), in.size());
  ByteWriter(part).raw(in.first(n));
  in = in.subspan(n);
}

/// What TLS 1.2 authenticates beside the text.
std::array<std::byte, 13> associated_12(uint64_t number, uint8_t type, std::size_t size) {
  std::array<std::byte, 13> out;
  put(number, std::span(out).first(8));
  out[8] = std::byte{type};
  put(TLS1_2_VERSION, std::span(out).subspan(9, 2));
  put(size, std::span(out).subspan(11, 2));
  return out;
}

Nonce iv_of(Version version, Aead aead, const Secret& key_and_iv) {
  Nonce out{};
  std::ranges::copy(as_bytes(key_and_iv.reveal()).subspan(key_size(aead), iv_size(version, aead)),
                    out.begin());
  return out;
}
ByteSpan key_of(Aead aead, const Secret& key_and_iv) {
  return as_bytes(key_and_iv.reveal()).first(key_size(aead));
}

/// What of the numbers in a state can't be. Empty if nothing.
std::string_view doubt(const RecordsState& state) {
  const auto exists = [](auto value) { return enum_name(value) != "?"; };
  if (!exists(state.role) || !exists(state.version) || !exists(state.aead)) return "a name";
  if (state.fragment < kMinFragment || state.fragment > kMaxFragment) return "the fragments";
  for (const auto* way : {&state.ours, &state.theirs}) {
    if (way->secret.reveal().size() != secret_size(state.version, state.aead)) return "a secret";
    if (way->records >= kMaxRecords) return "a number of records";
  }
  return "";
}

tl::unexpected<Error> refuse_state(std::string_view what) {
  return fail(Errc::ipc_protocol, fmt::format("TLS that can't be gone on with: {}", what));
}

}  // namespace

Result<std::unique_ptr<Layer>> resume(RecordsState state, Info info) {
  if (const auto what = doubt(state); !what.empty()) return refuse_state(what);
  auto layer = SLUICE_TRY(RecordLayer::from(std::move(state), std::move(info)));
  if (const auto what = layer->doubt(); !what.empty()) return refuse_state(what);
  return layer;
}

Result<std::unique_ptr<RecordLayer>> RecordLayer::from(RecordsState state, Info info) {
  const auto ours = key_and_iv(state.version, state.aead, state.ours.secret);
  const auto theirs = key_and_iv(state.version, state.aead, state.theirs.secret);
  if (ours.empty() || theirs.empty()) return fail(Errc::unavailable, "no keys for TLS records");
  return std::unique_ptr<RecordLayer>(
      new RecordLayer(std::move(state), std::move(info), ours, theirs));
}

RecordLayer::RecordLayer(RecordsState state, Info info, const Secret& ours, const Secret& theirs)
    : state_(std::move(state)),
      ours_{AeadKey(state_.aead, AeadKey::Use::seal, key_of(state_.aead, ours)),
            iv_of(state_.version, state_.aead, ours)},
      theirs_{AeadKey(state_.aead, AeadKey::Use::open, key_of(state_.aead, theirs)),
              iv_of(state_.version, state_.aead, theirs)},
      info_(std::move(info)) {}

std::string RecordLayer::why_not_movable() const {
  if (phase_ == Phase::left) return "it has left";
  return established() ? "" : "its TLS has failed";
}

Result<RecordsState> RecordLayer::leave() {
  if (auto why = why_not_movable(); !why.empty()) return fail(Errc::unavailable, std::move(why));
  auto out = std::move(state_);
  end(Phase::left);
  return out;
}

void RecordLayer::end(Phase phase) {
  phase_ = phase;
  state_ = {};
  ours_.key.wipe();
  theirs_.key.wipe();
}

std::string_view RecordLayer::doubt() const {
  const auto& [record, message, left] =
      std::tie(state_.record, state_.message, state_.message_left);
  if (state_.theirs.closed && !(record.empty() && message.empty())) return "bytes behind the end";
  if (record.size() >= kHeaderSize) {
    const auto size = size_of_record(record);
    if (!size || record.size() >= *size) return "a record";
  }
  if (message.size() < kMessageHeaderSize) return left == 0 ? "" : "a message without a header";
  const auto size = uint24_at(message, 1);
  const bool has_body = message.size() > kMessageHeaderSize;
  const bool fits = judge_message() && message.size() <= kMessageHeaderSize + 1 && left > 0 &&
                    left <= size && has_body == (left < size);
  return fits ? "" : "a message";
}

// What we receive.

Result<> RecordLayer::receive(ByteSpan cipher_in, Bytes& plain_out, Bytes& cipher_out) {
  if (!established()) return fail(Errc::unavailable, "TLS has failed before");
  Taken<> taken;
  while (taken && !cipher_in.empty() && !state_.theirs.closed) taken = take(cipher_in, plain_out);
  if (taken && std::exchange(answer_due_, false) && !state_.ours.closed && !answer(cipher_out))
    taken = refuse(SSL_AD_INTERNAL_ERROR, "no answer can be made");
  if (taken) return {};
  fail_with(taken.error(), cipher_out);
  return fail(Errc::bad_input, std::move(taken.error().why));
}

tl::unexpected<RecordLayer::Refusal> RecordLayer::refuse(int alert, std::string_view why) {
  return tl::unexpected(Refusal{static_cast<uint8_t>(alert), fmt::format("broken TLS: {}", why)});
}

void RecordLayer::fail_with(const Refusal& refusal, Bytes& cipher_out) {
  if (refusal.alert && !state_.ours.closed) write_alert(SSL3_AL_FATAL, *refusal.alert, cipher_out);
  end(Phase::failed);
}

/// One record, or what there is of it. A record that is there in full is decrypted from where it
/// is.
RecordLayer::Taken<> RecordLayer::take(ByteSpan& in, Bytes& plain_out) {
  if (!state_.record.empty() || in.size() < kHeaderSize) return collect(in, plain_out);
  const auto size = SLUICE_TRY(size_of_record(in));
  if (in.size() < size) return collect(in, plain_out);
  const auto record = in.first(size);
  in = in.subspan(size);
  return open(record, plain_out);
}

RecordLayer::Taken<> RecordLayer::collect(ByteSpan& in, Bytes& plain_out) {
  Bytes& part = state_.record;
  fill(part, kHeaderSize, in);
  if (part.size() < kHeaderSize) return {};
  const auto size = SLUICE_TRY(size_of_record(part));
  fill(part, size, in);
  if (part.size() < size) return {};
  const Bytes record = std::exchange(part, {});  // gives the memory back: idle ones have none
  return open(record, plain_out);
}

/// With its header, which is judged.
RecordLayer::Taken<std::size_t> RecordLayer::size_of_record(ByteSpan header) const {
  const auto type = byte_at(header, 0);
  const auto size = uint16_at(header, 3);
  if (tls_1_3() ? type != SSL3_RT_APPLICATION_DATA : std::ranges::count(kTypes, type) == 0)
    return refuse(SSL_AD_UNEXPECTED_MESSAGE, "unexpected record");
  if (!tls_1_3() && uint16_at(header, 1) != TLS1_2_VERSION)
    return refuse(SSL_AD_PROTOCOL_VERSION, "wrong version number");
  if (size > kMaxFragment + (tls_1_3() ? kMaxExpansion13 : kMaxExpansion12))
    return refuse(SSL_AD_RECORD_OVERFLOW, "record too long");
  return kHeaderSize + size;
}

RecordLayer::Taken<> RecordLayer::open(ByteSpan record, Bytes& plain_out) {
  const auto overhead = kHeaderSize + explicit_size() + kTagSize;
  if (record.size() < overhead) return refuse(SSL_AD_BAD_RECORD_MAC, "record too short");
  const auto before = plain_out.size();
  plain_out.resize(before + record.size() - overhead);
  uint8_t type = byte_at(record, 0);
  const auto content = decrypt(record, std::span(plain_out).subspan(before), type);
  const auto size = content ? content->size() : 0;
  const bool is_data = content && type == SSL3_RT_APPLICATION_DATA && state_.message.empty();
  Taken<> taken;
  if (!content)
    taken = tl::unexpected(content.error());
  else if (is_data && size > 0)
    useless_ = 0;
  else
    taken = take_content(type, *content);
  plain_out.resize(before + (taken && is_data ? size : 0));
  return taken;
}

/// The record's content, at the front of `text`. TLS 1.3 hides the type in `type` behind it.
RecordLayer::Taken<ByteSpan> RecordLayer::decrypt(ByteSpan record, std::span<std::byte> text,
                                                  uint8_t& type) {
  const auto header = record.first(kHeaderSize);
  const auto sealed = record.subspan(kHeaderSize + explicit_size());
  const uint64_t number = state_.theirs.records++;
  if (number >= kMaxRecords) return refuse(SSL_AD_INTERNAL_ERROR, "too many records");
  Nonce with = nonce(theirs_, number);
  if (explicit_size() > 0)
    std::ranges::copy(record.subspan(kHeaderSize, explicit_size()),
                      with.end() - static_cast<std::ptrdiff_t>(explicit_size()));
  const auto associated = associated_12(number, type, text.size());
  if (!theirs_.key.open(with, tls_1_3() ? header : ByteSpan(associated), sealed, text))
    return refuse(SSL_AD_BAD_RECORD_MAC, "bad record mac");
  if (text.size() > kMaxFragment + (tls_1_3() ? 1u : 0u))
    return refuse(SSL_AD_RECORD_OVERFLOW, "data too long");
  if (!tls_1_3()) return text;
  const auto padding = std::ranges::find_if(text.rbegin(), text.rend(),
                                            [](std::byte b) { return b != std::byte{0}; });
  if (padding == text.rend()) return refuse(SSL_AD_UNEXPECTED_MESSAGE, "record without a type");
  type = std::to_integer<uint8_t>(*padding);
  return text.first(static_cast<std::size_t>(text.rend() - padding) - 1);
}

/// What is no data.
RecordLayer::Taken<> RecordLayer::take_content(uint8_t type, ByteSpan content) {
  if (!state_.message.empty() && type != SSL3_RT_HANDSHAKE)
    return refuse(SSL_AD_UNEXPECTED_MESSAGE, "a record inside a handshake message");
  switch (type) {
    case SSL3_RT_APPLICATION_DATA:
      return count_useless();
    case SSL3_RT_ALERT:
      return take_alert(content);
    case SSL3_RT_HANDSHAKE:
      return take_handshake(content);
    default:
      return refuse(SSL_AD_UNEXPECTED_MESSAGE, "unexpected record");
  }
}

RecordLayer::Taken<> RecordLayer::count_useless() {
  if (++useless_ <= kMaxUseless) return {};
  return refuse(SSL_AD_UNEXPECTED_MESSAGE, "too many empty records");
}

/// In TLS 1.3 the level says nothing: all but two alerts are fatal (RFC 8446, 6).
RecordLayer::Taken<> RecordLayer::take_alert(ByteSpan content) {
  if (content.size() != 2) return refuse(SSL_AD_DECODE_ERROR, "invalid alert");
  const auto level = byte_at(content, 0), description = byte_at(content, 1);
  if (description == SSL_AD_CLOSE_NOTIFY) {
    state_.theirs.closed = true;
    return {};
  }
  if (tls_1_3() ? description == SSL_AD_USER_CANCELLED : level == SSL3_AL_WARNING)
    return count_useless();
  return tl::unexpected(Refusal{
      std::nullopt, fmt::format("peer sent alert: {}", SSL_alert_desc_string_long(description))});
}

/// Messages may begin and end anywhere in records of their type.
RecordLayer::Taken<> RecordLayer::take_handshake(ByteSpan content) {
  if (content.empty()) return refuse(SSL_AD_UNEXPECTED_MESSAGE, "empty handshake record");
  while (!content.empty()) {
    Bytes& message = state_.message;
    if (message.size() < kMessageHeaderSize) {
      fill(message, kMessageHeaderSize, content);
      if (message.size() < kMessageHeaderSize) return {};
      SLUICE_TRY(judge_message());
      state_.message_left = static_cast<uint32_t>(uint24_at(message, 1));
    }
    const auto n = std::min<std::size_t>(state_.message_left, content.size());
    auto body = content.first(n);
    fill(message, kMessageHeaderSize + 1, body);
    content = content.subspan(n);
    state_.message_left -= static_cast<uint32_t>(n);
    if (state_.message_left == 0) SLUICE_TRY(end_message(content.empty()));
  }
  return {};
}

/// The header of a message. After the handshake there are few that a peer may send.
RecordLayer::Taken<> RecordLayer::judge_message() const {
  const auto type = byte_at(state_.message, 0);
  const auto size = uint24_at(state_.message, 1);
  const bool from_server = state_.role == Role::client;
  if (tls_1_3() && type == SSL3_MT_KEY_UPDATE) {
    if (size != 1) return refuse(SSL_AD_DECODE_ERROR, "invalid key update");
  } else if (tls_1_3() && from_server && type == SSL3_MT_NEWSESSION_TICKET) {
    if (size > kMaxTicket) return refuse(SSL_AD_DECODE_ERROR, "session ticket too long");
  } else if (tls_1_3() || type != (from_server ? SSL3_MT_HELLO_REQUEST : SSL3_MT_CLIENT_HELLO)) {
    return refuse(SSL_AD_UNEXPECTED_MESSAGE, "unexpected message");
  } else if (size > (from_server ? 0 : kMaxFragment)) {
    return refuse(SSL_AD_DECODE_ERROR, "renegotiation with too much to say");
  }
  return {};
}

/// A ticket that comes this late is not kept: openssl_layer.h waits for those that come at once.
/// Renegotiation (TLS 1.2) is refused, and the connection goes on.
RecordLayer::Taken<> RecordLayer::end_message(bool at_the_end) {
  const Bytes message = std::exchange(state_.message, {});
  if (!tls_1_3()) {
    answer_due_ = true;
    return count_useless();
  }
  if (byte_at(message, 0) != SSL3_MT_KEY_UPDATE) return {};
  if (!at_the_end)
    return refuse(SSL_AD_UNEXPECTED_MESSAGE, "key update not at the end of a record");
  const auto request = byte_at(message, kMessageHeaderSize);
  if (request > SSL_KEY_UPDATE_REQUESTED)
    return refuse(SSL_AD_ILLEGAL_PARAMETER, "invalid key update");
  answer_due_ = answer_due_ || request == SSL_KEY_UPDATE_REQUESTED;
  if (!renew(state_.theirs, theirs_))
    return refuse(SSL_AD_INTERNAL_ERROR, "the keys can't be changed");
  return {};
}

// What we send.

Result<> RecordLayer::send(ByteSpan plain, Bytes& cipher_out) {
  if (!established()) return fail(Errc::internal, "TLS is not established");
  if (state_.ours.closed) return fail(Errc::internal, "TLS was closed");
  const bool wears_out = tls_1_3() && state_.aead != Aead::chacha20_poly1305;
  while (!plain.empty()) {
    const auto fragment = plain.first(std::min<std::size_t>(plain.size(), state_.fragment));
    plain = plain.subspan(fragment.size());
    const bool renewed =
        !wears_out || state_.ours.records < kRecordsPerKey || update_keys(cipher_out);
    if (renewed && write(SSL3_RT_APPLICATION_DATA, fragment, cipher_out)) continue;
    fail_with({}, cipher_out);
    return fail(Errc::unavailable, "TLS records can't be made");
  }
  return {};
}

void RecordLayer::close(Bytes& cipher_out) {
  if (!established() || state_.ours.closed) return;
  write_alert(SSL3_AL_WARNING, SSL_AD_CLOSE_NOTIFY, cipher_out);
  state_.ours.closed = true;
}

/// One record. False without memory, or at the end of the numbers.
bool RecordLayer::write(uint8_t type, ByteSpan fragment, Bytes& cipher_out) {
  assert(fragment.size() <= state_.fragment);
  const uint64_t number = state_.ours.records++;
  if (number >= kMaxRecords) return false;
  const auto start = cipher_out.size();
  const auto text_size = fragment.size() + (tls_1_3() ? 1 : 0);
  Nonce with = nonce(ours_, number);
  ByteWriter to(cipher_out);
  std::array<std::byte, kHeaderSize> header;
  header[0] = static_cast<std::byte>(tls_1_3() ? SSL3_RT_APPLICATION_DATA : type);
  put(TLS1_2_VERSION, std::span(header).subspan(1, 2));
  put(explicit_size() + text_size + kTagSize, std::span(header).subspan(3, 2));
  to.raw(header);
  if (explicit_size() > 0) {
    const auto part = std::span(with).last(8);
    put(state_.ours.explicit_nonce++, part);
    to.raw(part);
  }
  to.raw(fragment);
  if (tls_1_3()) to.byte(type);
  to.zeros(kTagSize);
  const auto associated = associated_12(number, type, fragment.size());
  const auto text = std::span(cipher_out).subspan(start + kHeaderSize + explicit_size(), text_size);
  if (ours_.key.seal(with, tls_1_3() ? ByteSpan(header) : ByteSpan(associated), text,
                     std::span(cipher_out).last<kTagSize>()))
    return true;
  cipher_out.resize(start);
  return false;
}

bool RecordLayer::write_alert(uint8_t level, uint8_t description, Bytes& cipher_out) {
  const std::array alert = {std::byte{level}, std::byte{description}};
  return write(SSL3_RT_ALERT, alert, cipher_out);
}

/// To however many requests there were: for other keys, or in TLS 1.2 for another handshake.
bool RecordLayer::answer(Bytes& cipher_out) {
  if (tls_1_3()) return update_keys(cipher_out);
  return write_alert(SSL3_AL_WARNING, SSL_AD_NO_RENEGOTIATION, cipher_out);
}

/// Tells the peer that what follows is under the next key, and asks for nothing.
bool RecordLayer::update_keys(Bytes& cipher_out) {
  const std::array message = {std::byte{SSL3_MT_KEY_UPDATE}, std::byte{0}, std::byte{0},
                              std::byte{1}, std::byte{SSL_KEY_UPDATE_NOT_REQUESTED}};
  return write(SSL3_RT_HANDSHAKE, message, cipher_out) && renew(state_.ours, ours_);
}

// Keys.

bool RecordLayer::renew(RecordsOneWay& way, Keys& keys) const {
  auto secret = next_secret(state_.aead, way.secret);
  const auto made = key_and_iv(state_.version, state_.aead, secret);
  if (secret.empty() || made.empty()) return false;
  way.secret = std::move(secret);
  way.records = 0;
  keys.key.replace(key_of(state_.aead, made));
  keys.iv = iv_of(state_.version, state_.aead, made);
  return true;
}

/// RFC 8446, 5.3; RFC 7905, 2. For AES-GCM in TLS 1.2 the end is still to be filled in.
Nonce RecordLayer::nonce(const Keys& keys, uint64_t number) const {
  Nonce out = keys.iv;
  if (explicit_size() > 0) return out;
  for (std::size_t i = 0; i < 8; ++i)
    out[kNonceSize - 1 - i] ^= static_cast<std::byte>(number >> (8 * i));
  return out;
}

std::size_t RecordLayer::explicit_size() const {
  return kNonceSize - iv_size(state_.version, state_.aead);
}

}  // namespace sluice::tls
