// The proof between the two legs: every plugin over every pair of legs, what passes and what is
// refused, what never crosses a leg that others can read, and that nobody is let in whom the server
// has not let in for what the client proved.
#include "worker/auth/exchange.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <iostream>
#include <random>

#include "tests/worker/auth/players.h"

namespace sluice::worker {
namespace {

using testing::HasSubstr;
using Verdict = Turn::Verdict;

constexpr const char* kPlugins[] = {
    "mysql_native_password", "caching_sha2_password", "sha256_password",
    "client_ed25519",        "parsec",                "dialog",
    "mysql_clear_password",  "auth_gssapi_client",    "authentication_openid_connect_client",
    "nobody_knows_this",     "mysql_old_password",    ""};
constexpr std::string_view kPassword = "a password that can be found";

/// A leg, as far as others can read it.
enum class Way { tls, socket, tcp };

std::string name_of(Way way) {
  return way == Way::tls ? "Tls" : way == Way::socket ? "Socket" : "Tcp";
}

Legs legs(Way client, Way server) {
  return {.client_encrypted = client == Way::tls,
          .client_local = client == Way::socket,
          .server_encrypted = server == Way::tls,
          .server_local = server == Way::socket,
          .own_key = &own_key()};
}

std::string text(const Bytes& bytes) {
  return std::string(as_text(bytes));
}

std::string switch_to(std::string_view plugin, char marker = '\xFE') {
  return fmt::format("{}{}{}{}{}", marker, plugin, '\0', kScramble, '\0');
}

std::string error_of(const TurnResult& turn) {
  return turn ? "" : turn.error().message;
}

/// An exchange, with what it sent to either side.
struct Run {
  Legs legs{};
  Exchange x{};
  std::string to_client{}, to_server{};  ///< the last payload
  std::string all_to_server{}, all_to_client{}, all_of_client{};
  Verdict verdict = Verdict::open;
  std::string error{};

  void begin(std::string_view plugin, std::string_view response) {
    all_of_client += response;
    note(begin_exchange(x, legs, plugin, as_bytes(kScramble), as_bytes(response)));
  }
  void client(std::string_view payload) {
    all_of_client += payload;
    note(exchange_from_client(x, legs, as_bytes(payload)));
  }
  void server(std::string_view payload) {
    note(exchange_from_server(x, legs, as_bytes(payload)));
  }
  bool going() const { return error.empty() && verdict == Verdict::open; }

 private:
  void note(const TurnResult& turn) {
    to_client.clear(), to_server.clear();
    error = error_of(turn);
    if (!turn) {
      EXPECT_EQ(turn.error().sql_state, "08S01");
      return;
    }
    verdict = turn->verdict;
    (turn->to == Side::client ? to_client : to_server) = text(turn->payload);
    (turn->to == Side::client ? all_to_client : all_to_server) += text(turn->payload);
  }
};

/// Client and server talk through an exchange until the server has decided, or sluice refuses.
Run talk(const Legs& legs, const Client& client, Server& server) {
  Run run{.legs = legs};
  run.begin(client.plugin, client.response());
  for (int i = 0; i < 20 && run.going(); ++i) {
    if (!run.to_server.empty() || run.to_client.empty()) {
      run.server(server.answer(run.to_server));
    } else if (const auto answer = client.answer(run.to_client)) {
      run.client(*answer);
    } else {
      ADD_FAILURE() << "both wait";
      return run;
    }
  }
  return run;
}

// A leg each, and how clear passwords and keys are allowed.

class EveryPair : public testing::TestWithParam<std::tuple<Way, Way>> {
 protected:
  static Way client_way() { return std::get<0>(GetParam()); }
  static Way server_way() { return std::get<1>(GetParam()); }
  static bool client_secure() { return client_way() != Way::tcp; }
  static bool server_secure() { return server_way() != Way::tcp; }
  static Legs pair() { return legs(client_way(), server_way()); }
};
INSTANTIATE_TEST_SUITE_P(
    Legs, EveryPair,
    testing::Combine(testing::Values(Way::tls, Way::socket, Way::tcp),
                     testing::Values(Way::tls, Way::socket, Way::tcp)),
    [](const auto& test) {
      return name_of(std::get<0>(test.param)) + "To" + name_of(std::get<1>(test.param));
    });

/// The server learns the password in the form that its leg wants, and nobody else does.
TEST_P(EveryPair, ThePasswordArrivesWhereTheServerWantsIt) {
  for (const std::string plugin : {"caching_sha2_password", "sha256_password"})
    for (const bool believes : {true, false}) {
      Server server{plugin, server_secure()};
      auto ways = pair();
      ways.believes_server_key = believes;
      const auto run = talk(ways, {plugin, std::string(kPassword), client_secure()}, server);
      const bool needs_key = client_secure() && !server_secure();
      SCOPED_TRACE(plugin + (believes ? ", key believed" : ""));
      if (needs_key && !believes) {
        EXPECT_THAT(run.error, HasSubstr("public_key_retrieval = true"));
        EXPECT_FALSE(server.learnt);
        continue;
      }
      EXPECT_EQ(run.error, "");
      EXPECT_EQ(run.verdict, Verdict::accepted);
      EXPECT_EQ(server.learnt, kPassword);
      EXPECT_EQ(run.all_to_server.find(kPassword) != std::string::npos, server_secure());
      EXPECT_EQ(run.all_of_client.find(kPassword) != std::string::npos, client_secure());
      EXPECT_EQ(run.all_to_client.find(kPassword), std::string::npos);
      EXPECT_TRUE(run.x.password.empty());
    }
}

TEST_P(EveryPair, AWrongPasswordIsTheServersToRefuse) {
  for (const std::string plugin : {"caching_sha2_password", "sha256_password"}) {
    auto ways = pair();
    ways.believes_server_key = true;
    Run run{.legs = ways};
    const Client client{plugin, "wrong", client_secure()};
    run.begin(plugin, client.response());
    if (plugin == "caching_sha2_password") run.server(kFullAuthentication);
    run.server("\xFF\x15\x04#28000Access denied");
    EXPECT_EQ(run.verdict, Verdict::refused);
    EXPECT_EQ(run.to_client, "\xFF\x15\x04#28000Access denied");
  }
}

TEST_P(EveryPair, WithoutAPasswordNothingIsEncrypted) {
  for (const std::string plugin : {"caching_sha2_password", "sha256_password"}) {
    Server server{plugin, server_secure()};
    const auto run = talk(pair(), {plugin, "", client_secure()}, server);
    EXPECT_EQ(run.error, "");
    EXPECT_EQ(run.verdict, Verdict::accepted) << plugin;
    EXPECT_FALSE(server.learnt);
  }
}

TEST_P(EveryPair, TheFastPathNeedsNoPassword) {
  Run run{.legs = pair()};
  run.begin("caching_sha2_password", "a proof");
  EXPECT_EQ(run.to_server, "a proof");
  run.server(kFastSuccess);
  EXPECT_EQ(run.to_client, kFastSuccess);
  run.server(kOk);
  EXPECT_EQ(run.verdict, Verdict::accepted);
}

/// Whatever else the configuration allows, a leg that others can read needs its own permission.
TEST_P(EveryPair, ClearPasswordsNeedLegsThatNobodyCanRead) {
  for (const std::string plugin :
       {"mysql_clear_password", "dialog", "authentication_openid_connect_client"})
    for (const bool by_switch : {false, true})
      for (const bool client_may : {false, true})
        for (const bool server_may : {false, true}) {
          auto ways = pair();
          ways.client_may_be_clear = client_may;
          ways.server_may_be_clear = server_may;
          Run run{.legs = ways};
          run.begin(by_switch ? "mysql_native_password" : plugin, by_switch ? "proof" : kPassword);
          if (by_switch) run.server(switch_to(plugin));
          SCOPED_TRACE(fmt::format("{} {} {} {}", plugin, by_switch, client_may, server_may));
          if (!client_secure() && !client_may) {
            EXPECT_THAT(run.error, HasSubstr("clear_passwords of the service"));
          } else if (!server_secure() && !server_may) {
            EXPECT_THAT(run.error, HasSubstr("clear_passwords of the cluster"));
          } else {
            EXPECT_EQ(run.error, "");
            continue;
          }
          EXPECT_THAT(run.error, HasSubstr(plugin));
          EXPECT_THAT(run.all_to_server, testing::Not(HasSubstr(kPassword)));
          if (by_switch) {
            EXPECT_EQ(run.to_client, "") << "or the client would send it";
          }
        }
}

TEST_P(EveryPair, WhatNobodyKnowsIsHandedOn) {
  for (const std::string plugin : {"mysql_native_password", "client_ed25519", "parsec",
                                   "auth_gssapi_client", "nobody_knows_this"}) {
    Run run{.legs = pair()};
    run.begin(plugin, "first");
    EXPECT_EQ(run.to_server, "first");
    for (const std::string said : {std::string("\1more"), std::string("\4question"), kFastSuccess,
                                   kFullAuthentication, std::string("\2question")}) {
      run.server(said);
      EXPECT_EQ(run.to_client, said);
      run.client("an answer, or \2");
      EXPECT_EQ(run.to_server, "an answer, or \2");
      run.client("");
      EXPECT_EQ(run.to_server, "");
    }
    run.server(switch_to("nobody_knows_this_either"));
    EXPECT_EQ(run.to_client, switch_to("nobody_knows_this_either"));
    EXPECT_EQ(run.x.plugin, "nobody_knows_this_either");
    run.client("proof");
    run.server(kOk);
    EXPECT_EQ(run.verdict, Verdict::accepted);
    EXPECT_EQ(run.to_client, kOk);
  }
}

TEST_P(EveryPair, APluginOfBefore41IsRefused) {
  for (const auto& said : {std::string("\xFE"), switch_to("mysql_old_password")}) {
    auto ways = pair();
    ways.client_may_be_clear = ways.server_may_be_clear = true;
    Run run{.legs = ways};
    run.begin("mysql_native_password", "proof");
    run.server(said);
    EXPECT_THAT(run.error, HasSubstr("before MySQL 4.1"));
  }
  Run run{.legs = pair()};
  run.begin("mysql_old_password", "proof");
  EXPECT_THAT(run.error, HasSubstr("before MySQL 4.1"));
}

// Every rule.

/// An exchange in which the password is due.
Run password_due(const std::string& plugin, const Legs& legs) {
  Run run{.legs = legs};
  run.begin(plugin, plugin == "sha256_password" && legs.client_secure() ? "" : "a proof");
  if (plugin == "caching_sha2_password") run.server(kFullAuthentication);
  return run;
}

TEST(ExchangeRules, AClientThatAsksForAKeyGetsOursOrTheServers) {
  for (const bool secure : {true, false}) {
    auto run = password_due("caching_sha2_password", legs(Way::tcp, secure ? Way::tls : Way::tcp));
    run.client("\2");
    EXPECT_EQ(run.to_client, secure ? '\1' + own_key().public_pem() : "");
    EXPECT_EQ(run.to_server, secure ? "" : "\2");
    EXPECT_EQ(run.x.step, secure ? ProofStep::own_key_given : ProofStep::password_due);
  }
  auto run = Run{.legs = legs(Way::tcp, Way::tls)};
  run.begin("sha256_password", "\1");
  EXPECT_EQ(run.to_client, '\1' + own_key().public_pem()) << "before the server hears of it";
}

TEST(ExchangeRules, WithoutAKeyOfOursThereIsNone) {
  auto ways = legs(Way::tcp, Way::tls);
  ways.own_key = nullptr;
  auto run = password_due("caching_sha2_password", ways);
  run.client("\2");
  EXPECT_THAT(run.error, HasSubstr("no key"));
}

TEST(ExchangeRules, WhatWasEncryptedWithAnotherKeyIsRefused) {
  auto run = password_due("caching_sha2_password", legs(Way::tcp, Way::tls));
  run.client(Client{.plugin = {}, .password = "x"}.encrypted(server_key().public_pem()));
  EXPECT_THAT(run.error, HasSubstr("not this proxy's"));

  run = password_due("caching_sha2_password", legs(Way::tcp, Way::tls));
  run.client("\2");
  run.client(Client{.plugin = {}, .password = "x"}.encrypted(server_key().public_pem()));
  EXPECT_THAT(run.error, HasSubstr("can't be read"));

  // A client that has the server's key in a file needs no help where the server decrypts itself.
  run = password_due("caching_sha2_password", legs(Way::tcp, Way::tcp));
  const auto encrypted = Client{.plugin = {}, .password = "x"}.encrypted(server_key().public_pem());
  run.client(encrypted);
  EXPECT_EQ(run.to_server, encrypted);
}

TEST(ExchangeRules, AKeyThatIsNoneIsTheServersFault) {
  auto ways = legs(Way::tls, Way::tcp);
  ways.believes_server_key = true;
  for (const std::string key :
       {std::string(), std::string("garbage"), std::string(60'000, 'A'),
        server_key().public_pem().substr(0, 200)}) {
    auto run = password_due("caching_sha2_password", ways);
    run.client(std::string(kPassword) + '\0');
    EXPECT_EQ(run.to_server, "\2");
    run.server('\1' + key);
    EXPECT_THAT(run.error, HasSubstr("the server's public key"));
    EXPECT_TRUE(run.x.password.empty());
    EXPECT_THAT(run.error, testing::Not(HasSubstr(kPassword)));
  }
}

TEST(ExchangeRules, WhatIsOutOfOrderIsRefused) {
  const auto secure = legs(Way::tls, Way::tls);
  auto run = password_due("caching_sha2_password", secure);
  run.server(kFullAuthentication);
  EXPECT_THAT(run.error, HasSubstr("out of order"));

  auto to_plain = legs(Way::tls, Way::tcp);
  to_plain.believes_server_key = true;
  for (const std::string more : {std::string("\2"), std::string("again\0", 6), std::string()}) {
    run = password_due("caching_sha2_password", to_plain);
    run.client(std::string(kPassword) + '\0');
    run.client(more);
    EXPECT_THAT(run.error, HasSubstr("out of order"));
  }
  for (const std::string more : {std::string("\2"), std::string(), std::string(1, '\0')}) {
    run = password_due("caching_sha2_password", legs(Way::tcp, Way::tls));
    run.client("\2");
    run.client(more);
    EXPECT_THAT(run.error, HasSubstr("out of order"));
  }
}

/// A switch in the middle of it all begins anew, and forgets the password that waited.
TEST(ExchangeRules, ASwitchBeginsAnew) {
  auto ways = legs(Way::tls, Way::tcp);
  ways.believes_server_key = true;
  auto run = password_due("caching_sha2_password", ways);
  run.client(std::string(kPassword) + '\0');
  EXPECT_FALSE(run.x.password.empty());
  run.server(switch_to("mysql_native_password"));
  EXPECT_TRUE(run.x.password.empty());
  run.client("proof");
  EXPECT_EQ(run.to_server, "proof");
  run.server(kOk);
  EXPECT_EQ(run.verdict, Verdict::accepted);
}

TEST(ExchangeRules, AServerThatAsksForEverIsRefused) {
  for (const std::string said : {std::string("\4again: "), switch_to("client_ed25519")}) {
    Run run{.legs = legs(Way::tls, Way::tls)};
    run.begin("dialog", "first");
    int rounds = 0;
    for (; run.going() && rounds < 1000; ++rounds) {
      run.server(said);
      if (run.going()) run.client("answer");
    }
    EXPECT_THAT(run.error, HasSubstr("without end"));
    EXPECT_LT(rounds, 100);
    EXPECT_GT(rounds, 40) << "some PAM stacks ask much";
  }
}

// Further factors (MySQL).

TEST(Factors, EachIsTakenUpLikeTheFirst) {
  auto ways = legs(Way::tls, Way::tls);
  ways.many_factors = true;
  Run run{.legs = ways};
  run.begin("caching_sha2_password", "a proof");
  run.server(switch_to("sha256_password", '\2'));
  EXPECT_EQ(run.x.plugin, "sha256_password");
  EXPECT_EQ(run.x.step, ProofStep::password_due);
  run.client(std::string(kPassword) + '\0');
  run.server(switch_to("client_ed25519", '\2'));
  run.server(kOk);
  EXPECT_THAT(run.error, HasSubstr("not proved"));
}

TEST(Factors, AClearOneNeedsItsLegsToo) {
  auto ways = legs(Way::tcp, Way::tls);
  ways.many_factors = true;
  Run run{.legs = ways};
  run.begin("caching_sha2_password", "a proof");
  run.server(switch_to("mysql_clear_password", '\2'));
  EXPECT_THAT(run.error, HasSubstr("clear_passwords of the service"));
}

TEST(Factors, AQuestionIsNone) {
  for (const bool many : {true, false}) {
    auto ways = legs(Way::tls, Way::tls);
    ways.many_factors = many;
    Run run{.legs = ways};
    run.begin("dialog", "first");
    run.server("\2mysql_old_password");
    EXPECT_EQ(run.error, "");
    EXPECT_EQ(run.to_client, "\2mysql_old_password");
  }
}

// Who may get in.

TEST(Acceptance, NotBeforeTheClientHasProvedWhatItWasAskedFor) {
  for (const char* plugin : kPlugins) {
    Run run{.legs = legs(Way::tls, Way::tls)};
    run.begin("mysql_native_password", "proof");
    run.server(switch_to(plugin));
    if (!run.going()) continue;
    run.server(kOk);
    EXPECT_THAT(run.error, HasSubstr("not proved")) << plugin;
  }
  for (const bool key_asked : {false, true}) {
    auto run = password_due("caching_sha2_password", legs(Way::tcp, Way::tcp));
    if (key_asked) run.client("\2");
    run.server(kOk);
    EXPECT_THAT(run.error, HasSubstr("not proved"));
  }
  auto ways = legs(Way::tls, Way::tcp);
  ways.believes_server_key = true;
  auto run = password_due("caching_sha2_password", ways);
  run.client(std::string(kPassword) + '\0');
  run.server(kOk);
  EXPECT_THAT(run.error, HasSubstr("not proved"));
  run = password_due("caching_sha2_password", legs(Way::tcp, Way::tls));
  run.client("\2");
  run.server(kOk);
  EXPECT_THAT(run.error, HasSubstr("not proved"));
}

TEST(Acceptance, EveryTruncationOfAnOkIsAnError) {
  for (std::size_t n = 1; n < kOk.size(); ++n) {
    Run run{.legs = legs(Way::tls, Way::tls)};
    run.begin("mysql_native_password", "proof");
    run.server(std::string_view(kOk).substr(0, n));
    EXPECT_THAT(run.error, HasSubstr("malformed OK"));
  }
}

/// Each message of a full exchange, cut at each of its bytes: whatever comes of it, the server does
/// not learn the password, and nobody gets in by a cut OK.
TEST_P(EveryPair, NoTruncationLetsAnybodyIn) {
  for (const std::string plugin : {"caching_sha2_password", "sha256_password"})
    for (int cut_message = 0; cut_message < 8; ++cut_message)
      for (std::size_t keep = 0; keep < 600; ++keep) {
        auto ways = pair();
        ways.believes_server_key = true;
        const Client client{plugin, std::string(kPassword), client_secure()};
        Server server{plugin, server_secure()};
        Run run{.legs = ways};
        int message = 0;
        bool was_cut = false;
        const auto maybe_cut = [&](std::string payload) {
          if (message++ == cut_message && keep < payload.size()) {
            payload.resize(keep);
            was_cut = true;
          }
          return payload;
        };
        run.begin(plugin, maybe_cut(client.response()));
        for (int i = 0; i < 12 && run.going(); ++i) {
          if (!run.to_server.empty() || run.to_client.empty()) {
            const auto answer = maybe_cut(server.answer(run.to_server));
            if (answer.empty()) break;  // refused by whoever takes packets apart
            run.server(answer);
          } else if (const auto answer = client.answer(run.to_client)) {
            run.client(maybe_cut(*answer));
          } else {
            break;  // both wait: a deadline ends that
          }
        }
        if (!was_cut) break;
        if (server.learnt == kPassword) {
          EXPECT_THAT(run.error, HasSubstr("malformed OK"));
        } else {
          const bool shortened = server.learnt && kPassword.starts_with(*server.learnt);
          EXPECT_TRUE(run.verdict != Verdict::accepted || shortened || !server.learnt);
        }
      }
}

/// Somebody whose login may not succeed: every proof is spoiled on its way, whatever its form, and
/// whatever the server says of it, it is a refusal.
TEST_P(EveryPair, TheDoomedAreNeverAccepted) {
  for (const char* plugin : kPlugins)
    for (const std::string password : {std::string(kPassword), std::string()}) {
      auto ways = pair();
      ways.believes_server_key = ways.client_may_be_clear = ways.server_may_be_clear = true;
      const Client client{plugin, password, client_secure()};
      Server server{plugin, server_secure()};
      Run run{.legs = ways};
      run.x.doomed = true;
      run.begin(plugin, client.response());
      for (int i = 0; i < 20 && run.going(); ++i) {
        if (!run.to_server.empty() || run.to_client.empty()) {
          const auto said = server.answer(run.to_server);
          run.server(said[0] == '\xFF' ? kOk : said);  // one that lets everybody in
        } else if (const auto answer = client.answer(run.to_client)) {
          run.client(*answer);
        } else {
          break;
        }
      }
      EXPECT_NE(run.verdict, Verdict::accepted) << plugin;
      EXPECT_NE(server.learnt, kPassword) << plugin;
      EXPECT_THAT(run.all_to_server, testing::Not(HasSubstr(kPassword))) << plugin;
    }
}

TEST(Acceptance, SpoiledProofsKeepTheirForm) {
  for (const std::string_view proof : {std::string_view("twenty bytes of hash"),
                                       std::string_view("password\0", 9), std::string_view("x")}) {
    Run run{.legs = legs(Way::tls, Way::tls)};
    run.x.doomed = true;
    run.begin("mysql_native_password", proof);
    EXPECT_EQ(run.to_server.size(), proof.size());
    EXPECT_EQ(run.to_server.back() == '\0', proof.back() == '\0');
    for (std::size_t i = 0; i < proof.size(); ++i)
      if (proof[i] != '\0') EXPECT_NE(run.to_server[i], proof[i]);
  }
}

/// What the server is owed, judged from the messages alone.
class Owed {
 public:
  void begun(std::string_view plugin, bool password_sent) {
    plugin_ = plugin;
    owed_ = plugin == "sha256_password" && !password_sent;
  }
  void server_said(std::string_view payload, bool many_factors) {
    const bool factor = payload[0] == '\2' && many_factors && plugin_ != "dialog";
    if (payload[0] == '\xFE' || factor) {
      plugin_ = payload.substr(1, payload.find('\0', 1) - 1);
      owed_ = true;
    }
    if (payload == kFullAuthentication && plugin_ == "caching_sha2_password") owed_ = true;
  }
  void server_got(std::string_view payload) {
    const auto ask = plugin_ == "sha256_password" ? "\1" : "\2";
    const bool two = plugin_ == "sha256_password" || plugin_ == "caching_sha2_password";
    if (!(two && payload == ask)) owed_ = false;
  }
  bool owed() const { return owed_; }

 private:
  std::string plugin_;
  bool owed_ = false;
};

/// One random conversation; says what was wrong with it.
class RandomTalk {
 public:
  explicit RandomTalk(uint64_t seed) : random_(seed) {}

  std::string run() {
    make_legs();
    run_.x.doomed = chance(4) == 0;
    const std::string plugin = pick(kPlugins);
    const auto response = client_message();
    run_.begin(plugin, response);
    owed_.begun(plugin, false);
    look();
    for (int i = 0; i < 40 && run_.going() && problem_.empty(); ++i) step();
    return problem_;
  }

 private:
  std::size_t chance(std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_);
  }
  template <class T, std::size_t N>
  T pick(T (&list)[N]) {
    return list[chance(N)];
  }
  void make_legs() {
    constexpr Way kWays[] = {Way::tls, Way::socket, Way::tcp};
    run_.legs = legs(pick(kWays), pick(kWays));
    run_.legs.believes_server_key = chance(2) == 0;
    run_.legs.client_may_be_clear = chance(2) == 0;
    run_.legs.server_may_be_clear = chance(2) == 0;
    run_.legs.many_factors = chance(2) == 0;
    if (chance(4) == 0) run_.legs.own_key = nullptr;
  }
  std::string garbage() {
    std::string out(1 + chance(30), '\0');
    for (auto& c : out) c = static_cast<char>(chance(256));
    return out;
  }
  std::string client_message() {
    const std::string messages[] = {"",
                                    std::string(1, '\0'),
                                    "\1",
                                    "\2",
                                    std::string(kPassword) + '\0',
                                    "a proof",
                                    garbage(),
                                    encrypted(own_key()),
                                    encrypted(server_key())};
    return pick(messages);
  }
  static std::string encrypted(const tls::RsaKey& key) {
    return Client{.plugin = {}, .password = "x"}.encrypted(key.public_pem());
  }
  std::string server_message() {
    const std::string messages[] = {kOk,
                                    kOk,
                                    kFullAuthentication,
                                    kFullAuthentication,
                                    kFastSuccess,
                                    '\1' + server_key().public_pem(),
                                    switch_to(pick(kPlugins)),
                                    switch_to("caching_sha2_password"),
                                    switch_to(pick(kPlugins), '\2'),
                                    "\4question",
                                    "\xFF\x15\x04#28000no",
                                    garbage()};
    return pick(messages);
  }
  void step() {
    if (chance(2) == 0) {
      said_ = server_message();
      run_.server(said_);
      if (run_.error.empty()) owed_.server_said(said_, run_.legs.many_factors);
    } else {
      said_.clear();
      run_.client(client_message());
    }
    look();
  }
  void look() {
    if (!run_.error.empty()) return;
    if (run_.to_client.empty() && run_.verdict == Verdict::open) owed_.server_got(run_.to_server);
    const bool secret_goes = run_.to_server.find(kPassword) != std::string::npos;
    const bool clear_plugin = run_.x.plugin == "dialog" || run_.x.plugin == "mysql_clear_password";
    const bool wants_it = clear_plugin || run_.x.plugin == "sha256_password" ||
                          run_.x.plugin == "caching_sha2_password";
    if (secret_goes && wants_it && run_.x.step != ProofStep::reply_due &&
        password_was_due_ && !run_.legs.clear_to_server())
      problem_ = "a password goes to the server for all to read";
    password_was_due_ = run_.x.step == ProofStep::password_due;
    if (run_.verdict != Verdict::accepted) return;
    if (said_ != kOk && !mysql_ok(said_)) problem_ = "accepted without an OK of the server";
    if (run_.x.doomed) problem_ = "accepted though doomed";
    if (owed_.owed()) problem_ = "accepted while a proof was due";
  }
  static bool mysql_ok(const std::string& said) { return said.size() >= 7 && said[0] == '\0'; }

  std::mt19937_64 random_;
  Run run_;
  Owed owed_;
  std::string said_, problem_;
  bool password_was_due_ = false;
};

TEST(Acceptance, NoSequenceOfMessagesLetsAnybodyInWithoutAProof) {
  const char* given = std::getenv("SLUICE_SEED");
  const uint64_t first = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << "SLUICE_SEED=" << first << '\n';
  for (uint64_t seed = first; seed < first + 20'000; ++seed)
    ASSERT_EQ(RandomTalk(seed).run(), "") << "SLUICE_SEED=" << seed;
}

}  // namespace
}  // namespace sluice::worker
