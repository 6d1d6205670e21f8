// TLS with a hostile peer. The input is a list of actions on a client and a server of ours: bytes
// are carried on, changed, lost or made up. Whatever happens: nobody hears what the other did not
// say, in that order, and nobody is made to say much. The first byte may choose PEM instead: a
// server's key for passwords, or a certificate.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstdlib>

#include "tests/support/certificates.h"
#include "worker/tls/context.h"
#include "worker/tls/initialise.h"
#include "worker/tls/rsa.h"

namespace {

using namespace sluice;

void must(bool holds) {
  if (!holds) std::abort();
}

/// Both roles, made once: keys and certificates are not what is fuzzed.
struct Contexts {
  tls::Context client, server;

  static const Contexts& get() {
    static const Contexts made = make();
    return made;
  }

 private:
  static Contexts make() {
    must(tls::initialise().has_value());
    const test::CertificateAuthority ca;
    const auto shown = ca.issue({.names = {"db1"}});
    const auto own = ca.issue({.common_name = "app"});
    config::Service service{.name = "shop"};
    service.tls.certificate_pem = shown.pem;
    service.tls.key_pem = Secret(shown.key_pem);
    service.tls.ca_pem = ca.pem();
    config::Server server{.name = "db1", .address = {.host = "db1"}};
    server.tls.verify = config::TlsVerify::identity;
    server.tls.ca_pem = ca.pem();
    server.tls.certificate_pem = own.pem;
    server.tls.key_pem = Secret(own.key_pem);
    ipc::KeyMaterial keys;
    keys.ticket_key = Secret(std::string(80, 'k'));
    return {*tls::Context::towards_server(server), *tls::Context::towards_clients(service, keys)};
  }
};

struct End {
  std::unique_ptr<tls::Layer> layer;
  Bytes said, heard;  ///< plain
  Bytes unsent;       ///< for the other end
  bool failed = false;
};

class Fuzzed {
 public:
  explicit Fuzzed(FuzzedDataProvider& input) : input_(input) {
    client_.layer = std::move(*Contexts::get().client.start());
    server_.layer = std::move(*Contexts::get().server.start());
    take(client_, {});
    if (input.ConsumeBool())
      while (!(client_.unsent.empty() && server_.unsent.empty())) pass(client_), pass(server_);
  }

  void run() {
    while (input_.remaining_bytes() > 0) act(input_.ConsumeBool() ? client_ : server_);
  }

 private:
  End& other(const End& end) { return &end == &client_ ? server_ : client_; }

  void act(End& end) {
    switch (input_.ConsumeIntegralInRange(0, 6)) {
      case 0:
        return pass(end);
      case 1:
        return say(end, input_.ConsumeBytes<std::byte>(
                            input_.ConsumeIntegralInRange<std::size_t>(0, 40000)));
      case 2:
        return change(end.unsent);
      case 3:  // lost
        return end.unsent.resize(input_.ConsumeIntegralInRange<std::size_t>(0, end.unsent.size()));
      case 4:
        return end.layer->close(end.unsent);
      case 5: {
        const auto made_up =
            input_.ConsumeBytes<std::byte>(input_.ConsumeIntegralInRange<std::size_t>(0, 300));
        end.unsent.insert(end.unsent.end(), made_up.begin(), made_up.end());
        return;
      }
      default:
        return pass_part(end);
    }
  }

  void change(Bytes& bytes) {
    if (bytes.empty()) return;
    bytes[input_.ConsumeIntegralInRange<std::size_t>(0, bytes.size() - 1)] ^=
        static_cast<std::byte>(input_.ConsumeIntegral<uint8_t>());
  }
  void say(End& end, const Bytes& plain) {
    if (!end.layer->send(plain, end.unsent)) return;
    must(end.layer->established());
    end.said.insert(end.said.end(), plain.begin(), plain.end());
  }
  void pass(End& from) { take(other(from), std::exchange(from.unsent, {})); }
  void pass_part(End& from) {
    const auto n = input_.ConsumeIntegralInRange<std::size_t>(0, from.unsent.size());
    const auto end = from.unsent.begin() + static_cast<std::ptrdiff_t>(n);
    const Bytes part(from.unsent.begin(), end);
    from.unsent.erase(from.unsent.begin(), end);
    take(other(from), part);
  }

  void take(End& end, const Bytes& cipher) {
    const auto heard = end.heard.size(), unsent = end.unsent.size();
    const auto taken = end.layer->receive(cipher, end.heard, end.unsent);
    must(taken || !taken.error().message.empty());
    must(taken || !end.layer->established());
    must(!end.failed || !taken);
    end.failed = !taken;
    must(end.heard.size() - heard <= cipher.size() + 16384);
    must(end.unsent.size() - unsent <= cipher.size() + 8192);
    const auto& said = other(end).said;
    must(end.heard.size() <= said.size());
    must(std::equal(end.heard.begin(), end.heard.end(), said.begin()));
    if (end.layer->established()) must(!end.layer->info().version.empty());
  }

  FuzzedDataProvider& input_;
  End client_, server_;
};

void public_key(std::string_view pem) {
  const Secret password("password");
  const auto encrypted = tls::encrypt_password(pem, password, mysql::Scramble{});
  must(encrypted || !encrypted.error().message.empty());
  must(!encrypted || encrypted->size() <= tls::kMaxKeyBits / 8);
}

void certificate(std::string_view pem) {
  config::Server server{.name = "db1", .address = {.host = "db1"}};
  server.tls.verify = config::TlsVerify::identity;
  server.tls.ca_pem = pem;
  const auto made = tls::Context::towards_server(server);
  must(made || !made.error().message.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data + 1), size - 1);
  if (data[0] == 'k') return public_key(rest), 0;
  if (data[0] == 'c') return certificate(rest), 0;
  FuzzedDataProvider input(data, size);
  Fuzzed(input).run();
  return 0;
}
