// The proof between the two legs: every plugin over every pair of legs, what passes and what is
// refused, what never crosses a leg that others can read, and that nobody is let in whom the server
// has not let in for what the client proved.
#include "worker/auth/exchange.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <iostream>
#include <random>

#include "tests/worker/auth/players.h"
#include "worker/auth/sha2.h"

namespace sluice::worker {
namespace {

using testing::HasSubstr;
using Verdict = Turn::Verdict;

constexpr const char* kPlugins[] = {"mysql_native_password",
                                    "caching_sha2_password",
                                    "sha256_password",
                                    "client_ed25519",
                                    "parsec",
                                    "dialog",
                                    "mysql_clear_password",
                                    "auth_gssapi_client",
                                    "authentication_openid_connect_client",
                                    "nobody_knows_this",
                                    "mysql_old_password",
                                    ""};
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
struct Play {
  Legs legs{};
  Exchange x{};
  std::string to_client{}, to_server{};  ///< the last payload
  std::string all_to_server{}, all_to_client{}, all_of_client{};
  Verdict verdict = Verdict::open;
  bool for_us = false;
  std::string error{};

  void begin(std::string_view plugin, std::string_view response) {
    all_of_client += response;
    note(begin_exchange(x, legs, plugin, as_bytes(kScramble), as_bytes(response)));
  }
  void client(std::string_view payload) {
    all_of_client += payload;
    note(exchange_from_client(x, legs, as_bytes(payload)));
  }
  void server(std::string_view payload) { note(exchange_from_server(x, legs, as_bytes(payload))); }
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
    for_us = turn->for_us;
    (turn->to == Side::client ? to_client : to_server) = text(turn->payload);
    (turn->to == Side::client ? all_to_client : all_to_server) += text(turn->payload);
  }
};

/// Cuts one message of a conversation short.
struct Cutter {
  int message = 0;
  std::size_t keep = 0;
  int seen = 0;
  bool was_cut = false;
  std::string last_of_server{};

  std::string operator()(std::string payload) {
    if (seen++ != message || keep >= payload.size()) return payload;
    was_cut = true;
    return payload.substr(0, keep);
  }
};

/// Client and server talk through an exchange until the server has decided, sluice refuses, or both
/// wait (a deadline ends that).
Play talk(Play play, const Client& client, Server& server, Cutter* cutter = nullptr) {
  Cutter none{.message = -1};
  Cutter& cut = cutter != nullptr ? *cutter : none;
  play.begin(client.plugin, cut(client.response()));
  for (int i = 0; i < 20 && play.going(); ++i) {
    if (!play.to_server.empty() || play.to_client.empty()) {
      cut.last_of_server = cut(server.answer(play.to_server));
      if (cut.last_of_server.empty()) break;  // refused by whoever takes packets apart
      play.server(cut.last_of_server);
    } else if (const auto answer = client.answer(play.to_client)) {
      play.client(cut(*answer));
    } else {
      break;
    }
  }
  return play;
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
INSTANTIATE_TEST_SUITE_P(Legs, EveryPair,
                         testing::Combine(testing::Values(Way::tls, Way::socket, Way::tcp),
                                          testing::Values(Way::tls, Way::socket, Way::tcp)),
                         [](const auto& test) {
                           return name_of(std::get<0>(test.param)) + "To" +
                                  name_of(std::get<1>(test.param));
                         });

/// The server learns the password in the form that its leg wants, and nobody else does.
TEST_P(EveryPair, ThePasswordArrivesWhereTheServerWantsIt) {
  for (const std::string plugin : {"caching_sha2_password", "sha256_password"})
    for (const bool believes : {true, false}) {
      Server server{plugin, server_secure()};
      auto ways = pair();
      ways.believes_server_key = believes;
      const auto play =
          talk({.legs = ways}, {plugin, std::string(kPassword), client_secure()}, server);
      const bool needs_key = client_secure() && !server_secure();
      SCOPED_TRACE(plugin + (believes ? ", key believed" : ""));
      if (needs_key && !believes) {
        EXPECT_THAT(play.error, HasSubstr("public_key_retrieval = true"));
        EXPECT_FALSE(server.learnt);
        continue;
      }
      EXPECT_EQ(play.error, "");
      EXPECT_EQ(play.verdict, Verdict::accepted);
      EXPECT_EQ(server.learnt, kPassword);
      EXPECT_EQ(play.all_to_server.find(kPassword) != std::string::npos, server_secure());
      EXPECT_EQ(play.all_of_client.find(kPassword) != std::string::npos, client_secure());
      EXPECT_EQ(play.all_to_client.find(kPassword), std::string::npos);
      EXPECT_TRUE(play.x.password.empty());
    }
}

TEST_P(EveryPair, AWrongPasswordIsTheServersToRefuse) {
  for (const std::string plugin : {"caching_sha2_password", "sha256_password"}) {
    auto ways = pair();
    ways.believes_server_key = true;
    Play play{.legs = ways};
    const Client client{plugin, "wrong", client_secure()};
    play.begin(plugin, client.response());
    if (plugin == "caching_sha2_password") play.server(kFullAuthentication);
    play.server("\xFF\x15\x04#28000Access denied");
    EXPECT_EQ(play.verdict, Verdict::refused);
    EXPECT_EQ(play.to_client, "\xFF\x15\x04#28000Access denied");
  }
}

TEST_P(EveryPair, WithoutAPasswordNothingIsEncrypted) {
  for (const std::string plugin : {"caching_sha2_password", "sha256_password"}) {
    Server server{plugin, server_secure()};
    const auto play = talk({.legs = pair()}, {plugin, "", client_secure()}, server);
    EXPECT_EQ(play.error, "");
    EXPECT_EQ(play.verdict, Verdict::accepted) << plugin;
    EXPECT_FALSE(server.learnt);
  }
}

TEST_P(EveryPair, TheFastPathNeedsNoPassword) {
  Play play{.legs = pair()};
  play.begin("caching_sha2_password", "a proof");
  EXPECT_EQ(play.to_server, "a proof");
  play.server(kFastSuccess);
  EXPECT_EQ(play.to_client, kFastSuccess);
  play.server(kOk);
  EXPECT_EQ(play.verdict, Verdict::accepted);
}

// Passwords that are wanted for further servers.

std::string fast_answer(std::string_view password) {
  const auto answer = sha2_response(Secret(std::string(password)), as_bytes(kScramble));
  return std::string(as_text(*answer));
}

/// It is seen wherever it passes. A client without TLS is given sluice's key where the server's,
/// which it could have, may be believed.
TEST_P(EveryPair, APasswordThatPassesIsKept) {
  for (const std::string plugin : {"caching_sha2_password", "sha256_password"})
    for (const bool believes : {true, false}) {
      Server server{plugin, server_secure()};
      auto ways = pair();
      ways.believes_server_key = believes;
      ways.keeps_password = true;
      const auto play =
          talk({.legs = ways}, {plugin, std::string(kPassword), client_secure()}, server);
      const bool passes = server_secure() || believes;
      if (play.verdict == Verdict::accepted) {
        EXPECT_EQ(server.learnt, kPassword);
        EXPECT_EQ(play.x.known.reveal(), passes ? kPassword : "");
      }
      EXPECT_EQ(play.verdict == Verdict::accepted, passes || !client_secure());
      EXPECT_EQ(play.all_to_server.find(kPassword) != std::string::npos, server_secure());
      EXPECT_TRUE(play.x.password.empty());
    }
}

/// Where the server needs none, the client is asked in its place; the server hears nothing of it.
TEST_P(EveryPair, APasswordIsAskedForOnlyWhereItCanBeSaidAsItIs) {
  auto ways = pair();
  ways.keeps_password = ways.asks_password = true;
  Play play{.legs = ways};
  play.begin("caching_sha2_password", fast_answer(kPassword));
  play.server(kFastSuccess);
  if (!client_secure()) {
    EXPECT_EQ(play.to_client, kFastSuccess);
    return;
  }
  EXPECT_EQ(play.to_client, kFullAuthentication);
  EXPECT_TRUE(awaits_client(play.x));
  play.client(std::string(kPassword) + '\0');
  EXPECT_TRUE(play.for_us);
  EXPECT_FALSE(awaits_client(play.x));
  EXPECT_EQ(play.x.known.reveal(), kPassword);
  play.server(kOk);
  EXPECT_EQ(play.verdict, Verdict::accepted);
  EXPECT_EQ(play.all_to_server, fast_answer(kPassword));
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
          Play play{.legs = ways};
          play.begin(by_switch ? "mysql_native_password" : plugin, by_switch ? "proof" : kPassword);
          if (by_switch) play.server(switch_to(plugin));
          SCOPED_TRACE(fmt::format("{} {} {} {}", plugin, by_switch, client_may, server_may));
          if (!client_secure() && !client_may) {
            EXPECT_THAT(play.error, HasSubstr("clear_passwords of the service"));
          } else if (!server_secure() && !server_may) {
            EXPECT_THAT(play.error, HasSubstr("clear_passwords of the cluster"));
          } else {
            EXPECT_EQ(play.error, "");
            continue;
          }
          EXPECT_THAT(play.error, HasSubstr(plugin));
          EXPECT_THAT(play.all_to_server, testing::Not(HasSubstr(kPassword)));
          if (by_switch) {
            EXPECT_EQ(play.to_client, "") << "or the client would send it";
          }
        }
}

TEST_P(EveryPair, WhatNobodyKnowsIsHandedOn) {
  for (const std::string plugin : {"parsec", "auth_gssapi_client", "nobody_knows_this"}) {
    Play play{.legs = pair()};
    play.begin(plugin, "first");
    EXPECT_EQ(play.to_server, "first");
    for (const std::string& said : {std::string("\1more"), std::string("\4question"), kFastSuccess,
                                    kFullAuthentication, std::string("\2question")}) {
      play.server(said);
      EXPECT_EQ(play.to_client, said);
      play.client("an answer, or \2");
      EXPECT_EQ(play.to_server, "an answer, or \2");
      play.client("");
      EXPECT_EQ(play.to_server, "");
    }
    play.server(switch_to("nobody_knows_this_either"));
    EXPECT_EQ(play.to_client, switch_to("nobody_knows_this_either"));
    EXPECT_EQ(play.x.plugin, "nobody_knows_this_either");
    play.client("proof");
    play.server(kOk);
    EXPECT_EQ(play.verdict, Verdict::accepted);
    EXPECT_EQ(play.to_client, kOk);
  }
}

TEST_P(EveryPair, APluginOfBefore41IsRefused) {
  for (const auto& said : {std::string("\xFE"), switch_to("mysql_old_password")}) {
    auto ways = pair();
    ways.client_may_be_clear = ways.server_may_be_clear = true;
    Play play{.legs = ways};
    play.begin("mysql_native_password", "proof");
    play.server(said);
    EXPECT_THAT(play.error, HasSubstr("before MySQL 4.1"));
  }
  Play play{.legs = pair()};
  play.begin("mysql_old_password", "proof");
  EXPECT_THAT(play.error, HasSubstr("before MySQL 4.1"));
}

// Every rule.

/// An exchange in which the password is due.
Play password_due(const std::string& plugin, const Legs& legs) {
  Play play{.legs = legs};
  play.begin(plugin, plugin == "sha256_password" && legs.client_secure() ? "" : "a proof");
  if (plugin == "caching_sha2_password") play.server(kFullAuthentication);
  return play;
}

TEST(ExchangeRules, AClientThatAsksForAKeyGetsOursOrTheServers) {
  for (const bool secure : {true, false}) {
    auto play = password_due("caching_sha2_password", legs(Way::tcp, secure ? Way::tls : Way::tcp));
    play.client("\2");
    EXPECT_EQ(play.to_client, secure ? '\1' + own_key().public_pem() : "");
    EXPECT_EQ(play.to_server, secure ? "" : "\2");
    EXPECT_EQ(play.x.step, secure ? ProofStep::own_key_given : ProofStep::server_key_asked);
  }
  auto play = Play{.legs = legs(Way::tcp, Way::tls)};
  play.begin("sha256_password", "\1");
  EXPECT_EQ(play.to_client, '\1' + own_key().public_pem()) << "before the server hears of it";
}

/// A Unix socket is safe, but libmariadb asks for a key there: what it sends then is no password.
TEST(ExchangeRules, AKeyMayBeAskedForOverASocketToo) {
  auto play = Play{.legs = legs(Way::socket, Way::tcp)};
  play.begin("sha256_password", "\1");
  EXPECT_EQ(play.to_server, "\1");
  play.server("\1-----BEGIN PUBLIC KEY");
  EXPECT_EQ(play.to_client, "\1-----BEGIN PUBLIC KEY");
  const std::string encrypted(256, 'e');
  play.client(encrypted);
  EXPECT_EQ(play.to_server, encrypted);
  EXPECT_TRUE(play.going()) << play.error;
}

/// As libmariadb does over a Unix socket.
TEST(Asked, UnderOurKeyToo) {
  auto ways = legs(Way::socket, Way::tcp);
  ways.keeps_password = ways.asks_password = true;
  Play play{.legs = ways};
  play.begin("caching_sha2_password", fast_answer(kPassword));
  play.server(kFastSuccess);
  play.client("\2");
  EXPECT_EQ(play.to_client, '\1' + own_key().public_pem());
  play.client(
      Client{.plugin = {}, .password = std::string(kPassword)}.encrypted(own_key().public_pem()));
  EXPECT_EQ(play.x.known.reveal(), kPassword);
  play.server(kOk);
  EXPECT_EQ(play.verdict, Verdict::accepted);
}

/// The server has decided already: a client that says something else is logged in all the same.
TEST(Asked, WhatIsNotThePasswordIsNotKept) {
  for (const std::string& said :
       {std::string("wrong\0", 6), std::string(1, '\0'), std::string(), std::string("x")}) {
    auto ways = legs(Way::tls, Way::tcp);
    ways.keeps_password = ways.asks_password = true;
    Play play{.legs = ways};
    play.begin("caching_sha2_password", fast_answer(kPassword));
    play.server(kFastSuccess);
    play.client(said);
    EXPECT_TRUE(play.for_us);
    EXPECT_TRUE(play.x.known.empty());
    play.server(kOk);
    EXPECT_EQ(play.verdict, Verdict::accepted);
  }
}

TEST(Asked, NotOfTheDoomedNorWithoutAKey) {
  for (const bool doomed : {true, false}) {
    auto ways = legs(Way::tls, Way::tls);
    ways.keeps_password = ways.asks_password = true;
    if (!doomed) ways.own_key = nullptr;
    Play play{.legs = ways, .x = {.doomed = doomed}};
    play.begin("caching_sha2_password", fast_answer(kPassword));
    play.server(kFastSuccess);
    EXPECT_EQ(play.to_client, kFastSuccess);
  }
}

TEST(Asked, MeanwhileTheServersWordIsOutOfOrder) {
  for (const auto& word : {kOk, kFullAuthentication, std::string("\xFF\x15\x04#28000no")}) {
    auto ways = legs(Way::tls, Way::tls);
    ways.keeps_password = ways.asks_password = true;
    Play play{.legs = ways};
    play.begin("caching_sha2_password", fast_answer(kPassword));
    play.server(kFastSuccess);
    play.server(word);
    EXPECT_THAT(play.error, HasSubstr("out of order"));
  }
}

TEST(ExchangeRules, WithoutAKeyOfOursThereIsNone) {
  auto ways = legs(Way::tcp, Way::tls);
  ways.own_key = nullptr;
  auto play = password_due("caching_sha2_password", ways);
  play.client("\2");
  EXPECT_THAT(play.error, HasSubstr("no key"));
}

TEST(ExchangeRules, WhatWasEncryptedWithAnotherKeyIsRefused) {
  auto play = password_due("caching_sha2_password", legs(Way::tcp, Way::tls));
  play.client(Client{.plugin = {}, .password = "x"}.encrypted(server_key().public_pem()));
  EXPECT_THAT(play.error, HasSubstr("not this proxy's"));

  play = password_due("caching_sha2_password", legs(Way::tcp, Way::tls));
  play.client("\2");
  play.client(Client{.plugin = {}, .password = "x"}.encrypted(server_key().public_pem()));
  EXPECT_THAT(play.error, HasSubstr("can't be read"));

  // A client that has the server's key in a file needs no help where the server decrypts itself.
  play = password_due("caching_sha2_password", legs(Way::tcp, Way::tcp));
  const auto encrypted = Client{.plugin = {}, .password = "x"}.encrypted(server_key().public_pem());
  play.client(encrypted);
  EXPECT_EQ(play.to_server, encrypted);
}

TEST(ExchangeRules, AKeyThatIsNoneIsTheServersFault) {
  auto ways = legs(Way::tls, Way::tcp);
  ways.believes_server_key = true;
  for (const std::string& key : {std::string(), std::string("garbage"), std::string(60'000, 'A'),
                                 server_key().public_pem().substr(0, 200)}) {
    auto play = password_due("caching_sha2_password", ways);
    play.client(std::string(kPassword) + '\0');
    EXPECT_EQ(play.to_server, "\2");
    play.server('\1' + key);
    EXPECT_THAT(play.error, HasSubstr("the server's public key"));
    EXPECT_TRUE(play.x.password.empty());
    EXPECT_THAT(play.error, testing::Not(HasSubstr(kPassword)));
  }
}

TEST(ExchangeRules, WhatIsOutOfOrderIsRefused) {
  const auto secure = legs(Way::tls, Way::tls);
  auto play = password_due("caching_sha2_password", secure);
  play.server(kFullAuthentication);
  EXPECT_THAT(play.error, HasSubstr("out of order"));

  auto to_plain = legs(Way::tls, Way::tcp);
  to_plain.believes_server_key = true;
  for (const std::string& more : {std::string("\2"), std::string("again\0", 6), std::string()}) {
    play = password_due("caching_sha2_password", to_plain);
    play.client(std::string(kPassword) + '\0');
    play.client(more);
    EXPECT_THAT(play.error, HasSubstr("out of order"));
  }
  for (const std::string& more : {std::string("\2"), std::string(), std::string(1, '\0')}) {
    play = password_due("caching_sha2_password", legs(Way::tcp, Way::tls));
    play.client("\2");
    play.client(more);
    EXPECT_THAT(play.error, HasSubstr("out of order"));
  }
}

/// A switch in the middle of it all begins anew, and forgets the password that waited.
TEST(ExchangeRules, ASwitchBeginsAnew) {
  auto ways = legs(Way::tls, Way::tcp);
  ways.believes_server_key = true;
  auto play = password_due("caching_sha2_password", ways);
  play.client(std::string(kPassword) + '\0');
  EXPECT_FALSE(play.x.password.empty());
  play.server(switch_to("mysql_native_password"));
  EXPECT_TRUE(play.x.password.empty());
  play.client("twenty bytes of hash");
  EXPECT_EQ(play.to_server, "twenty bytes of hash");
  play.server(kOk);
  EXPECT_EQ(play.verdict, Verdict::accepted);
}

TEST(ExchangeRules, AServerThatAsksForEverIsRefused) {
  for (const std::string& said : {std::string("\4again: "), switch_to("client_ed25519")}) {
    Play play{.legs = legs(Way::tls, Way::tls)};
    play.begin("dialog", "first");
    int rounds = 0;
    for (; play.going() && rounds < 1000; ++rounds) {
      play.server(said);
      if (play.going()) play.client("answer");
    }
    EXPECT_THAT(play.error, HasSubstr("without end"));
    EXPECT_LT(rounds, 100);
    EXPECT_GT(rounds, 40) << "some PAM stacks ask much";
  }
}

// Further factors (MySQL).

TEST(Factors, EachIsTakenUpLikeTheFirst) {
  auto ways = legs(Way::tls, Way::tls);
  ways.many_factors = true;
  Play play{.legs = ways};
  play.begin("caching_sha2_password", "a proof");
  play.server(switch_to("sha256_password", '\2'));
  EXPECT_EQ(play.x.plugin, "sha256_password");
  EXPECT_EQ(play.x.step, ProofStep::password_due);
  play.client(std::string(kPassword) + '\0');
  play.server(switch_to("client_ed25519", '\2'));
  play.server(kOk);
  EXPECT_THAT(play.error, HasSubstr("not proved"));
}

TEST(Factors, AClearOneNeedsItsLegsToo) {
  auto ways = legs(Way::tcp, Way::tls);
  ways.many_factors = true;
  Play play{.legs = ways};
  play.begin("caching_sha2_password", "a proof");
  play.server(switch_to("mysql_clear_password", '\2'));
  EXPECT_THAT(play.error, HasSubstr("clear_passwords of the service"));
}

TEST(Factors, AQuestionIsNone) {
  for (const bool many : {true, false}) {
    auto ways = legs(Way::tls, Way::tls);
    ways.many_factors = many;
    Play play{.legs = ways};
    play.begin("dialog", "first");
    play.server("\2mysql_old_password");
    EXPECT_EQ(play.error, "");
    EXPECT_EQ(play.to_client, "\2mysql_old_password");
  }
}

// Who may get in.

TEST(Acceptance, NotBeforeTheClientHasProvedWhatItWasAskedFor) {
  for (const char* plugin : kPlugins) {
    Play play{.legs = legs(Way::tls, Way::tls)};
    play.begin("mysql_native_password", "proof");
    play.server(switch_to(plugin));
    if (!play.going()) continue;
    play.server(kOk);
    EXPECT_THAT(play.error, HasSubstr("not proved")) << plugin;
  }
  for (const bool key_asked : {false, true}) {
    auto play = password_due("caching_sha2_password", legs(Way::tcp, Way::tcp));
    if (key_asked) play.client("\2");
    play.server(kOk);
    EXPECT_THAT(play.error, HasSubstr("not proved"));
  }
  auto ways = legs(Way::tls, Way::tcp);
  ways.believes_server_key = true;
  auto play = password_due("caching_sha2_password", ways);
  play.client(std::string(kPassword) + '\0');
  play.server(kOk);
  EXPECT_THAT(play.error, HasSubstr("not proved"));
  play = password_due("caching_sha2_password", legs(Way::tcp, Way::tls));
  play.client("\2");
  play.server(kOk);
  EXPECT_THAT(play.error, HasSubstr("not proved"));
}

TEST(Acceptance, EveryTruncationOfAnOkIsAnError) {
  for (std::size_t n = 1; n < kOk.size(); ++n) {
    Play play{.legs = legs(Way::tls, Way::tls)};
    play.begin("mysql_native_password", "proof");
    play.server(std::string_view(kOk).substr(0, n));
    EXPECT_THAT(play.error, HasSubstr("malformed OK"));
  }
}

/// Each message of a full exchange, cut at each of its bytes: the server learns no more than the
/// beginning of the password, and lets nobody in by an OK that was cut.
TEST_P(EveryPair, NoTruncationLetsAnybodyIn) {
  for (const std::string plugin : {"caching_sha2_password", "sha256_password"})
    for (int cut_message = 0; cut_message < 8; ++cut_message)
      for (std::size_t keep = 0; keep < 600; ++keep) {
        Server server{plugin, server_secure()};
        Cutter cutter{cut_message, keep};
        auto ways = pair();
        ways.believes_server_key = true;
        const auto play = talk({.legs = ways}, {plugin, std::string(kPassword), client_secure()},
                               server, &cutter);
        if (!cutter.was_cut) break;
        EXPECT_TRUE(play.verdict != Verdict::accepted || cutter.last_of_server == kOk);
        EXPECT_TRUE(!server.learnt || kPassword.starts_with(*server.learnt));
      }
}

/// Somebody whose login may not succeed: every proof is spoiled on its way, whatever its form, and
/// whatever the server says of it, it is a refusal.
TEST_P(EveryPair, TheDoomedAreNeverAccepted) {
  for (const char* plugin : kPlugins)
    for (const std::string& password : {std::string(kPassword), std::string()}) {
      auto ways = pair();
      ways.believes_server_key = ways.client_may_be_clear = ways.server_may_be_clear = true;
      Server server{.plugin = plugin, .safe = server_secure(), .lets_all_in = true};
      const auto play =
          talk({.legs = ways, .x = {.doomed = true}}, {plugin, password, client_secure()}, server);
      EXPECT_NE(play.verdict, Verdict::accepted) << plugin;
      EXPECT_NE(server.learnt, kPassword) << plugin;
      EXPECT_THAT(play.all_to_server, testing::Not(HasSubstr(kPassword))) << plugin;
    }
}

TEST(Acceptance, SpoiledProofsKeepTheirForm) {
  for (const std::string_view proof : {std::string_view("twenty bytes of hash"),
                                       std::string_view("password\0", 9), std::string_view("x")}) {
    Play play{.legs = legs(Way::tls, Way::tls)};
    play.x.doomed = true;
    play.begin("mysql_clear_password", proof);
    EXPECT_EQ(play.to_server.size(), proof.size());
    EXPECT_EQ(play.to_server.back() == '\0', proof.back() == '\0');
    for (std::size_t i = 0; i < proof.size(); ++i)
      EXPECT_TRUE(proof[i] == '\0' || play.to_server[i] != proof[i]);
  }
}

/// What the server is owed, judged from the messages alone.
class Owed {
 public:
  void begun(std::string_view plugin) { asked_for(std::string(plugin)); }
  void server_said(std::string_view payload, bool many_factors) {
    const bool factor = payload[0] == '\2' && many_factors && plugin_ != "dialog";
    if (payload[0] == '\xFE' || factor)
      asked_for(std::string(payload.substr(1, payload.find('\0', 1) - 1)));
    if (payload == kFullAuthentication && plugin_ == "caching_sha2_password")
      owed_ = What::password;
  }
  void server_got(std::string_view payload) {
    const bool asks_key = payload == (plugin_ == "sha256_password" ? "\1" : "\2");
    if (owed_ != What::password || !asks_key) owed_ = What::nothing;
  }
  bool anything() const { return owed_ != What::nothing; }

 private:
  enum class What { nothing, proof, password };
  void asked_for(std::string plugin) {
    plugin_ = std::move(plugin);
    owed_ = plugin_ == "sha256_password" ? What::password : What::proof;
  }
  std::string plugin_;
  What owed_ = What::nothing;
};

/// One random conversation; says what was wrong with it.
class RandomTalk {
 public:
  explicit RandomTalk(uint64_t seed) : random_(seed) {}

  std::string run() {
    make_legs();
    play_.x.doomed = chance(4) == 0;
    const std::string plugin = pick(kPlugins);
    const auto response = client_message();
    play_.begin(plugin, response);
    owed_.begun(plugin);
    look();
    for (int i = 0; i < 40 && play_.going() && problem_.empty(); ++i) step();
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
    play_.legs = legs(pick(kWays), pick(kWays));
    play_.legs.believes_server_key = chance(2) == 0;
    play_.legs.client_may_be_clear = chance(2) == 0;
    play_.legs.server_may_be_clear = chance(2) == 0;
    play_.legs.many_factors = chance(2) == 0;
    play_.legs.keeps_password = chance(2) == 0;
    play_.legs.asks_password = play_.legs.keeps_password && chance(2) == 0;
    if (chance(4) == 0) play_.legs.own_key = nullptr;
  }
  std::string garbage() {
    std::string out(1 + chance(30), '\0');
    for (auto& c : out) c = static_cast<char>(chance(256));
    return out;
  }
  std::string client_message() {
    const std::string messages[] = {
        "",        std::string(1, '\0'),          "\1",
        "\2",      std::string(kPassword) + '\0', "a proof",
        garbage(), encrypted(own_key()),          encrypted(server_key())};
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
      play_.server(said_);
      if (play_.error.empty()) owed_.server_said(said_, play_.legs.many_factors);
    } else {
      said_.clear();
      play_.client(client_message());
    }
    look();
  }
  void look() {
    if (!play_.error.empty()) return;
    if (play_.verdict == Verdict::open && play_.to_client.empty() && !play_.for_us)
      owed_.server_got(play_.to_server);
    if (play_.verdict != Verdict::accepted) return;
    if (said_.empty() || said_[0] != '\0') problem_ = "accepted without an OK of the server";
    if (play_.x.doomed) problem_ = "accepted though doomed";
    if (owed_.anything()) problem_ = "accepted while a proof was due";
  }

  std::mt19937_64 random_;
  Play play_;
  Owed owed_;
  std::string said_, problem_;
};

TEST(Acceptance, NoSequenceOfMessagesLetsAnybodyInWithoutAProof) {
  const char* given = std::getenv("SLUICE_SEED");
  const uint64_t first = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << "SLUICE_SEED=" << first << '\n';
  for (uint64_t seed = first; seed < first + 2'000; ++seed)
    ASSERT_EQ(RandomTalk(seed).run(), "") << "SLUICE_SEED=" << seed;
}

/// The server takes another length for a broken host, and in the end shuts that out.
TEST(Exchange, AProofOfTheWrongLengthBecomesAWrongProof) {
  Exchange x;
  const auto turn = begin_exchange(x, legs(Way::tcp, Way::tcp), "mysql_native_password",
                                   as_bytes(kScramble), as_bytes("short"));
  ASSERT_TRUE(turn);
  EXPECT_EQ(turn->to, Side::server);
  EXPECT_EQ(turn->payload, Bytes(20));
}

}  // namespace
}  // namespace sluice::worker
