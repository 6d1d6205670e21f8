// The records of TLS connections that were handed over. The first byte chooses. A state that a
// hostile worker made, with bytes from a hostile peer behind it: it is refused, or gone on with and
// nothing else happens. Or two ends with the same keys: what they say is carried on, changed, lost,
// or forged by somebody who has the keys, and they move to another process at any time. Nobody
// hears what was not said, and a connection that nobody has meddled with loses nothing.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstdlib>

#include "tests/worker/tls/forge.h"

namespace {

using namespace sluice;

void must(bool holds) {
  if (!holds) std::abort();
}

std::unique_ptr<tls::Layer> moved(std::unique_ptr<tls::Layer> layer) {
  const auto state = layer->leave();
  must(state.has_value());
  must(!layer->established());
  const auto there = ipc::decode<tls::RecordsState>(ipc::encode(*state));
  must(there && *there == *state);
  auto resumed = tls::resume(*there, {});
  must(resumed.has_value());
  return std::move(*resumed);
}

void strange_state(FuzzedDataProvider& input) {
  const auto bytes = input.ConsumeRandomLengthString();
  const auto state = ipc::decode<tls::RecordsState>(as_bytes(bytes));
  if (!state) return;
  auto layer = tls::resume(*state, {});
  must(layer || !layer.error().message.empty());
  if (!layer) return;
  const auto rest = input.ConsumeRemainingBytes<std::byte>();
  Bytes plain, cipher;
  const auto taken = (*layer)->receive(rest, plain, cipher);
  must(taken || !taken.error().message.empty());
  must(plain.size() <= rest.size() + tls::kMaxFragment);
  if ((*layer)->established()) moved(std::move(*layer));
}

struct End {
  explicit End(const tls::RecordsState& state)
      : layer(std::move(*tls::resume(state, {}))), forger(state) {}
  std::unique_ptr<tls::Layer> layer;
  tls::Forger forger;  ///< good for the records of this end, until it says something itself
  Bytes said, heard, unsent;
  bool closed = false;
};

class Fuzzed {
 public:
  Fuzzed(FuzzedDataProvider& input, const tls::Ends& ends)
      : input_(input), client_(ends.client), server_(ends.server) {}

  void run() {
    while (input_.remaining_bytes() > 0) act(input_.ConsumeBool() ? client_ : server_);
    if (meddled_) return;
    while (!(client_.unsent.empty() && server_.unsent.empty())) pass(client_), pass(server_);
    must(client_.said == server_.heard);
    must(server_.said == client_.heard);
  }

 private:
  End& other(const End& end) { return &end == &client_ ? server_ : client_; }

  void act(End& end) {
    switch (input_.ConsumeIntegralInRange(0, 7)) {
      case 0:
        return pass(end);
      case 1:
        return pass_part(end);
      case 2:
        return say(end);
      case 3:
        return change(end.unsent);
      case 4:
        return forge(end);
      case 5:
        end.closed = true;
        return end.layer->close(end.unsent);
      default:
        if (end.layer->established()) end.layer = moved(std::move(end.layer));
    }
  }

  void say(End& end) {
    const Bytes plain(input_.ConsumeIntegralInRange<std::size_t>(0, 40000), std::byte{'x'});
    if (!end.layer->send(plain, end.unsent)) return must(end.closed || meddled_);
    ByteWriter(end.said).raw(plain);
  }
  void change(Bytes& bytes) {
    if (bytes.empty()) return;
    meddled_ = true;
    bytes[input_.ConsumeIntegralInRange<std::size_t>(0, bytes.size() - 1)] ^=
        static_cast<std::byte>(input_.ConsumeIntegralInRange(1, 255));
    if (input_.ConsumeBool())
      bytes.resize(input_.ConsumeIntegralInRange<std::size_t>(0, bytes.size()));
  }
  void forge(End& end) {
    meddled_ = true;
    const int type = input_.ConsumeIntegralInRange(19, 24);
    const auto content = input_.ConsumeRandomLengthString(600);
    const auto record =
        end.forger.record(type, content, input_.ConsumeIntegralInRange<std::size_t>(0, 300));
    if (type == 23) ByteWriter(end.said).text(content);
    ByteWriter(end.unsent).raw(record);
    if (input_.ConsumeBool()) end.forger.next_key();
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
    const bool was_established = end.layer->established();
    const auto taken = end.layer->receive(cipher, end.heard, end.unsent);
    must(taken.has_value() == end.layer->established());
    must(taken || !taken.error().message.empty());
    must(taken || !was_established || meddled_);
    must(end.heard.size() - heard <= cipher.size() + tls::kMaxFragment);
    must(end.unsent.size() - unsent <= 2 * cipher.size() + 64);
  }

  FuzzedDataProvider& input_;
  End client_, server_;
  bool meddled_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider input(data, size);
  const auto choice = input.ConsumeIntegralInRange(0, 11);
  if (choice > 5) return strange_state(input), 0;
  const auto version = choice < 3 ? tls::Version::tls_1_3 : tls::Version::tls_1_2;
  Fuzzed(input, tls::Ends::made(version, static_cast<tls::Aead>(choice % 3))).run();
  return 0;
}
