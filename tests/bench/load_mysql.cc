// Packets of the benchmark's client: made and taken apart, without I/O.

#include "load_mysql.h"

#include <openssl/sha.h>

#include <algorithm>

#include "load_util.h"

namespace sluice::bench {
namespace {

constexpr uint32_t kLongPassword = 0x1;
constexpr uint32_t kLongFlag = 0x4;
constexpr uint32_t kConnectWithDb = 0x8;
constexpr uint32_t kProtocol41 = 0x200;
constexpr uint32_t kTransactions = 0x2000;
constexpr uint32_t kSecureConnection = 0x8000;
constexpr uint32_t kPluginAuth = 0x80000;
constexpr uint32_t kCapabilities = kLongPassword | kLongFlag | kConnectWithDb | kProtocol41 |
                                   kTransactions | kSecureConnection | kPluginAuth;
constexpr char kUtf8mb4GeneralCi = 45;
constexpr std::string_view kNativePassword{"mysql_native_password\0", 22};

constexpr unsigned char kOk = 0x00;
constexpr unsigned char kEof = 0xfe;
constexpr unsigned char kErr = 0xff;
constexpr std::size_t kEofMaxLength = 8;  // a longer packet that starts with 0xfe is a row
constexpr std::size_t kHeaderSize = 4;

using Digest = std::array<unsigned char, SHA_DIGEST_LENGTH>;

Digest sha1(std::span<const unsigned char> bytes) {
  Digest digest;
  SHA1(bytes.data(), bytes.size(), digest.data());
  return digest;
}

void append_fixed32(std::string& out, uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<char>(value >> shift));
}

}  // namespace

std::string native_password_proof(std::string_view password, const Scramble& scramble) {
  if (password.empty()) return {};
  const Digest once =
      sha1({reinterpret_cast<const unsigned char*>(password.data()), password.size()});
  const Digest twice = sha1(once);
  std::array<unsigned char, SHA_DIGEST_LENGTH * 2> salted;
  std::copy(twice.begin(), twice.end(),
            std::copy(scramble.begin(), scramble.end(), salted.begin()));
  const Digest mask = sha1(salted);
  std::string proof(SHA_DIGEST_LENGTH, '\0');
  for (std::size_t i = 0; i < proof.size(); ++i) proof[i] = static_cast<char>(once[i] ^ mask[i]);
  return proof;
}

Scramble scramble_from_greeting(std::string_view payload) {
  constexpr std::size_t kFirstPart = 8;
  constexpr std::size_t kBetweenParts = 1 + 2 + 1 + 2 + 2 + 1 + 10;  // filler to reserved bytes
  if (!payload.empty() && static_cast<unsigned char>(payload[0]) == kErr)
    die("refused: %s", error_text(payload).c_str());
  const std::size_t version_end = payload.find('\0');
  if (payload.empty() || payload[0] != 10 || version_end == std::string_view::npos)
    die("not a greeting of protocol 10");
  const std::string_view after_id = payload.substr(version_end + 1);
  Scramble scramble;
  if (after_id.size() < 4 + kFirstPart + kBetweenParts + scramble.size() - kFirstPart)
    die("greeting too short");
  const char* first = after_id.data() + 4;
  const char* second = first + kFirstPart + kBetweenParts;
  std::copy_n(second, scramble.size() - kFirstPart,
              std::copy_n(first, kFirstPart, scramble.begin()));
  return scramble;
}

Scramble scramble_from_auth_switch(std::string_view payload) {
  Scramble scramble;
  payload.remove_prefix(1);
  if (!payload.starts_with(kNativePassword)) die("server asks for another plugin");
  payload.remove_prefix(kNativePassword.size());
  if (payload.size() < scramble.size()) die("challenge too short");
  std::copy_n(payload.begin(), scramble.size(), scramble.begin());
  return scramble;
}

std::string handshake_response(const Login& login, const Scramble& scramble) {
  std::string body;
  append_fixed32(body, kCapabilities);
  append_fixed32(body, 1U << 24);  // max packet size
  body.push_back(kUtf8mb4GeneralCi);
  body.append(23, '\0');
  body.append(login.user).push_back('\0');
  const std::string proof = native_password_proof(login.password, scramble);
  body.push_back(static_cast<char>(proof.size()));
  body.append(proof);
  body.append(login.database).push_back('\0');
  body.append(kNativePassword);
  return packet(1, body);
}

std::string packet(uint8_t sequence, std::string_view payload) {
  std::string out;
  append_fixed32(out, static_cast<uint32_t>(payload.size()) | static_cast<uint32_t>(sequence)
                                                                  << 24);
  return out.append(payload);
}

std::string query_packet(std::string_view statement) {
  return packet(0, std::string("\x03").append(statement));
}

std::string prepare_packet(std::string_view statement) {
  return packet(0, std::string("\x16").append(statement));
}

std::string execute_packet(uint32_t statement_id, int32_t parameter, Types types) {
  constexpr char kTypeLong = 3;
  std::string body("\x17");
  append_fixed32(body, statement_id);
  body.push_back(0);        // no cursor
  append_fixed32(body, 1);  // iterations
  body.push_back(0);        // no parameter is NULL
  body.push_back(types == Types::sent ? 1 : 0);
  if (types == Types::sent) body.append({kTypeLong, 0});
  append_fixed32(body, static_cast<uint32_t>(parameter));
  return packet(0, body);
}

std::optional<uint32_t> prepared_id(std::string_view bytes) {
  constexpr std::size_t kOkSize = 12;
  uint32_t id = 0;
  unsigned left = 1;
  for (bool first = true; left > 0; --left, first = false) {
    if (bytes.size() < kHeaderSize) return std::nullopt;
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
    const std::size_t length = byte(0) | static_cast<std::size_t>(byte(1)) << 8;
    if (bytes.size() < kHeaderSize + length) return std::nullopt;
    if (first) {
      if (length < kOkSize || byte(kHeaderSize) != kOk) die("a statement could not be prepared");
      for (unsigned i = 0; i < 4; ++i) id |= uint32_t{byte(kHeaderSize + 1 + i)} << (8 * i);
      for (const std::size_t count_at : {5, 7})  // columns, parameters: an EOF packet ends either
        if (const int count = byte(kHeaderSize + count_at); count > 0)
          left += static_cast<unsigned>(count) + 1;
    }
    bytes.remove_prefix(kHeaderSize + length);
  }
  return id;
}

std::string quit_packet() {
  return packet(0, "\x01");
}

std::string error_text(std::string_view payload) {
  if (payload.size() < 3) return "truncated error";
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(payload[i]); };
  const int code = byte(1) | byte(2) << 8;
  return std::to_string(code).append(" ").append(payload.substr(3));
}

void ResultReader::begin() {
  *this = ResultReader();
}

bool ResultReader::feed(std::span<const char> bytes) {
  while (!bytes.empty()) {
    if (part_ == Part::Done && to_skip_ == 0) die("bytes after the end of a response");
    if (to_skip_ > 0) {
      const std::size_t n = std::min(to_skip_, bytes.size());
      bytes = bytes.subspan(n);
      to_skip_ -= n;
    } else {
      head_[head_filled_++] = static_cast<unsigned char>(bytes.front());
      bytes = bytes.subspan(1);
      if (head_filled_ < head_.size()) continue;
      const std::size_t length = head_[0] | static_cast<std::size_t>(head_[1]) << 8 |
                                 static_cast<std::size_t>(head_[2]) << 16;
      if (length == 0) die("empty packet in a response");
      to_skip_ = length - 1;
      head_filled_ = 0;
      on_packet(head_[kHeaderSize], length);
    }
  }
  return part_ == Part::Done && to_skip_ == 0;
}

void ResultReader::on_packet(unsigned char first, std::size_t length) {
  ++packets_;
  if (first == kErr) die("the server answered a statement with an error");
  const bool eof = first == kEof && length <= kEofMaxLength;
  if (part_ == Part::First) {
    part_ = first == kOk ? Part::Done : Part::Columns;
  } else if (eof) {
    part_ = part_ == Part::Columns ? Part::Rows : Part::Done;
  }
}

}  // namespace sluice::bench
