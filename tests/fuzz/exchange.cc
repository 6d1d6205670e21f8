// The proof between two hostile ends. The input says what the legs are and who says what: known
// words of the plugins, and bytes of all kinds. Whoever is let in was let in by an OK of the server
// for what it had asked for; whose login may not succeed is never let in, and the password that
// waits for the server's key waits no longer than that.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstdlib>

#include "common/mysql/packets.h"
#include "tests/worker/auth/players.h"

namespace {

using namespace sluice;
using namespace sluice::worker;

void must(bool holds) {
  if (!holds) std::abort();
}

class Fuzzed {
 public:
  explicit Fuzzed(FuzzedDataProvider& input) : input_(input) {
    legs_ = {.client_encrypted = input.ConsumeBool(),
             .client_local = input.ConsumeBool(),
             .server_encrypted = input.ConsumeBool(),
             .server_local = input.ConsumeBool(),
             .client_may_be_clear = input.ConsumeBool(),
             .server_may_be_clear = input.ConsumeBool(),
             .believes_server_key = input.ConsumeBool(),
             .many_factors = input.ConsumeBool(),
             .own_key = input.ConsumeBool() ? &own_key() : nullptr};
    x_.doomed = input.ConsumeBool();
  }

  void run() {
    const auto plugin = a_plugin();
    auto going = look(begin_exchange(x_, legs_, plugin, as_bytes(kScramble), as_bytes(word())));
    while (going && input_.remaining_bytes() > 0) going = step();
  }

 private:
  bool step() {
    const auto said = word();
    if (input_.ConsumeBool()) return look(exchange_from_client(x_, legs_, as_bytes(said)));
    if (said.empty()) return true;
    const auto before = x_.step;
    const auto turn = exchange_from_server(x_, legs_, as_bytes(said));
    const bool accepted = turn && turn->verdict == Turn::Verdict::accepted;
    must(!accepted || (mysql::is_ok(as_bytes(said)) && before == ProofStep::relayed && !x_.doomed));
    return look(turn);
  }

  /// Whether it goes on.
  bool look(const TurnResult& turn) {
    must(x_.password.empty() || x_.step == ProofStep::key_due || !turn);
    must(turn || (!turn.error().message.empty() && turn.error().sql_state.size() == 5));
    return turn && turn->verdict == Turn::Verdict::open;
  }

  std::string a_plugin() {
    return input_.PickValueInArray<std::string>(
        {"mysql_native_password", "caching_sha2_password", "sha256_password", "dialog",
         "mysql_clear_password", "client_ed25519", "mysql_old_password", ""});
  }
  std::string word() {
    switch (input_.ConsumeIntegralInRange(0, 8)) {
      case 0:
        return kOk;
      case 1:
        return kFullAuthentication;
      case 2:
        return "\xFE" + a_plugin() + '\0' + std::string(kScramble) + '\0';
      case 3:
        return "\2" + a_plugin() + '\0' + std::string(kScramble) + '\0';
      case 4:
        return '\1' + server_key().public_pem();
      case 5:
        return input_.ConsumeBool() ? "\2" : "\1";
      case 6:
        return encrypted();
      case 7:
        return std::string("password\0", 9);
      default:
        return input_.ConsumeRandomLengthString(300);
    }
  }
  static std::string encrypted() {
    static const auto made =
        Client{.plugin = {}, .password = "x"}.encrypted(own_key().public_pem());
    return made;
  }

  FuzzedDataProvider& input_;
  Legs legs_;
  Exchange x_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider input(data, size);
  Fuzzed(input).run();
  return 0;
}
