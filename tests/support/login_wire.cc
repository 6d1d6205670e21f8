#include "tests/support/login_wire.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <map>
#include <mutex>

#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

constexpr std::size_t kHeaderSize = 4;

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

Address ip_address(const std::string& ip, uint16_t port) {
  Address out;
  auto* four = reinterpret_cast<sockaddr_in*>(&out.storage);
  auto* six = reinterpret_cast<sockaddr_in6*>(&out.storage);
  if (::inet_pton(AF_INET, ip.c_str(), &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons(port);
    out.size = sizeof *four;
  } else if (::inet_pton(AF_INET6, ip.c_str(), &six->sin6_addr) == 1) {
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(port);
    out.size = sizeof *six;
  } else {
    throw TestError(ip + " is no address");
  }
  return out;
}

Address unix_address(const std::string& path) {
  Address out;
  auto* address = reinterpret_cast<sockaddr_un*>(&out.storage);
  if (path.size() >= sizeof address->sun_path) throw TestError(path + " is too long");
  address->sun_family = AF_UNIX;
  path.copy(address->sun_path, path.size());
  out.size = sizeof *address;
  return out;
}

UniqueFd open_socket(const WireEnds& ends) {
  const auto to =
      ends.socket.empty() ? ip_address(ends.host, ends.port) : unix_address(ends.socket);
  UniqueFd fd(::socket(to.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval deadline{.tv_sec = 30, .tv_usec = 0};
  const int on = 1;
  for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO})
    ::setsockopt(fd.get(), SOL_SOCKET, option, &deadline, sizeof deadline);
  if (ends.socket.empty()) ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (!ends.bind_address.empty()) {
    const auto from = ip_address(ends.bind_address, 0);
    ::setsockopt(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (::bind(fd.get(), from.get(), from.size) != 0) return {};
  }
  return ::connect(fd.get(), to.get(), to.size) == 0 ? std::move(fd) : UniqueFd();
}

/// Made once for each choice: reading keys is slow.
SSL_CTX* context_of(const AttemptTls& tls) {
  static std::mutex mutex;
  static std::map<std::string, std::unique_ptr<SSL_CTX, decltype(&::SSL_CTX_free)>> made;
  const std::lock_guard lock(mutex);
  const auto key = tls.certificate.certificate + "|" + tls.cipher;
  if (const auto found = made.find(key); found != made.end()) return found->second.get();
  auto* context = ::SSL_CTX_new(::TLS_client_method());
  const auto& [certificate, private_key] = tls.certificate;
  bool ok = context != nullptr;
  if (!certificate.empty())
    ok = ok &&
         ::SSL_CTX_use_certificate_file(context, certificate.c_str(), SSL_FILETYPE_PEM) == 1 &&
         ::SSL_CTX_use_PrivateKey_file(context, private_key.c_str(), SSL_FILETYPE_PEM) == 1;
  if (!tls.cipher.empty())
    ok = ok && ::SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION) == 1 &&
         ::SSL_CTX_set_cipher_list(context, tls.cipher.c_str()) == 1;
  if (!ok) throw TestError("a TLS client of " + key);
  return made
      .emplace(key, std::unique_ptr<SSL_CTX, decltype(&::SSL_CTX_free)>(context, &::SSL_CTX_free))
      .first->second.get();
}

void append_packet(std::string& out, uint8_t sequence, std::string_view payload) {
  for (const int shift : {0, 8, 16}) out += static_cast<char>(payload.size() >> shift & 0xFF);
  out += static_cast<char>(sequence);
  out += payload;
}

}  // namespace

void LoginWire::Free::operator()(ssl_st* tls) const noexcept {
  ::SSL_free(tls);
}

std::optional<LoginWire> LoginWire::connect(const WireEnds& ends) {
  auto fd = open_socket(ends);
  if (!fd) return std::nullopt;
  return LoginWire(std::move(fd));
}

bool LoginWire::encrypt(const AttemptTls& tls) {
  tls_.reset(::SSL_new(context_of(tls)));
  if (tls.session) {
    const TlsSession copy(::SSL_SESSION_dup(tls.session.get()), ::SSL_SESSION_free);
    ::SSL_set_session(tls_.get(), copy.get());
  }
  return ::SSL_set_fd(tls_.get(), fd_.get()) == 1 && ::SSL_connect(tls_.get()) == 1;
}

/// A copy: what ends this connection spoils its own.
TlsSession LoginWire::session() const {
  return {::SSL_SESSION_dup(::SSL_get0_session(tls_.get())), ::SSL_SESSION_free};
}

bool LoginWire::resumed() const {
  return ::SSL_session_reused(tls_.get()) == 1;
}

std::string LoginWire::peer_certificate() const {
  unsigned char* der = nullptr;
  const int size = ::i2d_X509(::SSL_get0_peer_certificate(tls_.get()), &der);
  if (size < 0) throw TestError("no certificate");
  std::string out(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  ::OPENSSL_free(der);
  return out;
}

bool LoginWire::ends_properly() {
  while (read_packet()) continue;
  return (::SSL_get_shutdown(tls_.get()) & SSL_RECEIVED_SHUTDOWN) != 0;
}

bool LoginWire::send_raw(std::string_view bytes) {
  if (tls_) return ::SSL_write(tls_.get(), bytes.data(), static_cast<int>(bytes.size())) > 0;
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

bool LoginWire::send_packet(std::string_view payload) {
  std::string packet;
  append_packet(packet, sequence_++, payload);
  return send_raw(packet);
}

bool LoginWire::send_commands(const std::vector<std::string>& payloads) {
  std::string packets;
  for (const auto& payload : payloads) append_packet(packets, 0, payload);
  sequence_ = 1;
  return send_raw(packets);
}

/// Until `size` bytes are unread.
bool LoginWire::fill(std::size_t size) {
  char buffer[4096];
  while (unread_.size() < size) {
    const ssize_t n = tls_ ? ::SSL_read(tls_.get(), buffer, sizeof buffer)
                           : ::recv(fd_.get(), buffer, sizeof buffer, 0);
    if (n <= 0) return false;
    unread_.append(buffer, static_cast<std::size_t>(n));
  }
  return true;
}

std::optional<std::string> LoginWire::read_packet() {
  if (!fill(kHeaderSize)) return std::nullopt;
  const auto at = [&](std::size_t i) { return static_cast<uint8_t>(unread_[i]); };
  const auto size = static_cast<std::size_t>(at(0) | at(1) << 8 | at(2) << 16);
  sequence_ = static_cast<uint8_t>(at(3) + 1);
  if (!fill(kHeaderSize + size)) return std::nullopt;
  auto payload = unread_.substr(kHeaderSize, size);
  unread_.erase(0, kHeaderSize + size);
  ++packets_;
  return payload;
}

}  // namespace sluice::test
