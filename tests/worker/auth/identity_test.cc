// What becomes of a login: every verdict, and what the operator is told.
#include "worker/auth/identity.h"

#include <gmock/gmock.h>

#include "common/mysql/packets.h"

namespace sluice::worker {
namespace {

using accounts::Peer;
using accounts::Row;
using accounts::TlsRule;
using testing::HasSubstr;
using Verdict = Judgement::Verdict;

/// SELECT PASSWORD('secret')
constexpr const char* kHash = "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7";

Row row(std::string user, std::string host, std::string hash = kHash) {
  return {std::move(user), std::move(host), {{"mysql_native_password", std::move(hash)}}};
}

/// Tables with these rows, for servers that resolve no names.
class Tables {
 public:
  explicit Tables(std::vector<Row> rows, std::vector<accounts::GrantHost> grants = {}) {
    accounts::Contents contents{.skip_name_resolve = true, .source = "db1"};
    contents.rows = std::move(rows);
    contents.grant_hosts = std::move(grants);
    bytes_ = accounts::encode(contents);
    table_ = *accounts::Table::open(bytes_);
  }
  /// A client that comes from `ip` and that the server sees at `seen`.
  Judgement judge(const std::string& user, const std::string& ip, const std::string& seen,
                  accounts::ClientTls tls = {}) const {
    return worker::judge(table_, {user, Peer{ip, ""}, Peer{seen, ""}, tls});
  }

 private:
  Bytes bytes_;
  accounts::Table table_;
};

TEST(Judge, TheClientsOwnAccountIsTheSame) {
  const Tables tables({row("app", "10.%"), row("app", "192.168.%")});
  for (const auto& [ip, seen] : {std::pair("10.1.2.3", "10.9.9.9"),
                                 {"10.1.2.3", "10.1.2.3"},
                                 {"192.168.1.1", "192.168.1.2"}}) {
    const auto judged = tables.judge("app", ip, seen);
    EXPECT_EQ(judged.verdict, Verdict::same) << ip;
    EXPECT_EQ(judged.reason, "");
    EXPECT_FALSE(judged.own_hash);
  }
}

TEST(Judge, AnotherAccountIsNamedWithTheClientsOwn) {
  const Tables tables({row("app", "10.1.%"), row("app", "10.9.%", "*00"), row("narrow", "10.1.%")});
  auto judged = tables.judge("app", "10.1.2.3", "10.9.9.9");
  EXPECT_EQ(judged.verdict, Verdict::other);
  EXPECT_EQ(judged.reason,
            "the account of this client is 'app'@'10.1.%', but the server sees the proxy's address "
            "10.9.9.9 and would take 'app'@'10.9.%'");
  EXPECT_EQ(judged.own_hash, kHash) << "of the client's own account, not of the other one";
  EXPECT_THAT(judged.reason, testing::Not(HasSubstr(kHash)));

  judged = tables.judge("narrow", "10.1.2.3", "10.9.9.9");
  EXPECT_EQ(judged.verdict, Verdict::other);
  EXPECT_THAT(judged.reason, HasSubstr("and would take none"));
}

TEST(Judge, OtherPrivilegesOfTheSameAccountAreAnotherAccount) {
  const Tables tables({row("app", "%")},
                      {{"app", "10.1.%"}, {"app", "10.9.%"}, {"app", "10.9.9.9"}});
  const auto judged = tables.judge("app", "10.1.2.3", "10.9.9.9");
  EXPECT_EQ(judged.verdict, Verdict::other);
  EXPECT_THAT(judged.reason, HasSubstr("other privileges are granted"));
  EXPECT_EQ(tables.judge("app", "10.9.1.1", "10.9.1.2").verdict, Verdict::same);
}

TEST(Judge, AnAnonymousAccountOfTheServersChoiceIsAnotherAccount) {
  const Tables tables({row("app", "%"), row("", "10.9.9.9")});
  const auto judged = tables.judge("app", "10.1.2.3", "10.9.9.9");
  EXPECT_EQ(judged.verdict, Verdict::other);
  EXPECT_THAT(judged.reason, HasSubstr("would take ''@'10.9.9.9'"));
}

TEST(Judge, WhoHasNoAccountIsUnknownWhereOthersHaveOne) {
  const Tables tables({row("app", "10.1.%"), row("proxys", "10.9.9.9")});
  for (const char* user : {"nobody", "proxys"}) {
    const auto judged = tables.judge(user, "10.1.2.3", "10.9.9.9");
    EXPECT_EQ(judged.verdict, Verdict::unknown) << user;
    EXPECT_EQ(judged.reason, "no account covers '" + std::string(user) + "'@'10.1.2.3'");
  }
  EXPECT_EQ(tables.judge("app", "172.16.0.1", "10.9.9.9").verdict, Verdict::no_host);
}

/// Where the server sees the client as it is, it decides: what we do not know it may know.
TEST(Judge, WhoIsAbsentIsTheServersToRefuse) {
  const Tables tables({row("app", "10.1.%")});
  const auto judged = tables.judge("nobody", "10.1.2.3", "10.1.2.3");
  EXPECT_EQ(judged.verdict, Verdict::absent);
  EXPECT_EQ(tables.judge("app", "172.16.0.1", "172.16.0.1").verdict, Verdict::absent);
}

TEST(Judge, WhatAnAccountDemandsOfTlsTheClientsLegMustHave) {
  auto any = row("any", "%"), x509 = row("x509", "%"), named = row("named", "%"),
       cipher = row("cipher", "%");
  any.tls = TlsRule::any;
  x509.tls = TlsRule::x509;
  named.tls = TlsRule::specified;
  named.tls_subject = "/CN=app";
  named.tls_issuer = "/CN=Test CA";
  cipher.tls = TlsRule::cipher;
  cipher.tls_cipher = "TLS_AES_128_GCM_SHA256";
  const Tables tables({any, x509, named, cipher});
  const auto verdict = [&](const char* user, accounts::ClientTls tls) {
    return tables.judge(user, "10.1.2.3", "10.1.2.3", tls).verdict;
  };
  const accounts::ClientTls plain, encrypted{.encrypted = true},
      certified{.encrypted = true,
                .verified_certificate = true,
                .subject = "/CN=app",
                .issuer = "/CN=Test CA",
                .cipher = "TLS_AES_128_GCM_SHA256"};
  auto someone_else = certified, other_issuer = certified;
  someone_else.subject = "/CN=other";
  other_issuer.issuer = "/CN=Other CA";
  for (const char* user : {"any", "x509", "named", "cipher"}) {
    EXPECT_EQ(verdict(user, plain), Verdict::tls) << user;
    EXPECT_EQ(verdict(user, certified), Verdict::same) << user;
  }
  EXPECT_EQ(verdict("any", encrypted), Verdict::same);
  EXPECT_EQ(verdict("x509", encrypted), Verdict::tls);
  EXPECT_EQ(verdict("x509", someone_else), Verdict::same);
  EXPECT_EQ(verdict("named", someone_else), Verdict::tls);
  EXPECT_EQ(verdict("named", other_issuer), Verdict::tls);
  EXPECT_EQ(verdict("cipher", encrypted), Verdict::tls);
  const auto judged = tables.judge("x509", "10.1.2.3", "10.1.2.3", encrypted);
  EXPECT_EQ(judged.reason, "account 'x509'@'%' demands TLS that the client's connection has not");
}

TEST(Judge, WhoseAccountAndTlsAreBothWrongHearsOfTheAccount) {
  auto mine = row("app", "10.1.%");
  mine.tls = TlsRule::any;
  const Tables tables({mine, row("app", "10.9.%")});
  EXPECT_EQ(tables.judge("app", "10.1.2.3", "10.9.9.9").verdict, Verdict::other);
}

/// The server judges the demands of the account that it picks by our TLS, not by the client's.
TEST(Judge, AnotherAccountIsTolerableWithTheTlsThatItDemands) {
  auto theirs = row("app", "10.9.%");
  theirs.tls = TlsRule::any;
  const Tables tables({row("app", "10.1.%"), theirs, row("narrow", "10.1.%")});
  const auto plain = tables.judge("app", "10.1.2.3", "10.9.9.9");
  EXPECT_EQ(plain.verdict, Verdict::other);
  EXPECT_FALSE(plain.tolerable);
  EXPECT_THAT(plain.reason, HasSubstr("account 'app'@'10.9.%' demands TLS"));
  EXPECT_TRUE(tables.judge("app", "10.1.2.3", "10.9.9.9", {.encrypted = true}).tolerable);
  EXPECT_TRUE(tables.judge("narrow", "10.1.2.3", "10.9.9.9").tolerable) << "the server refuses it";
}

// Whose address counts.

TEST(Address, OfLoopbackAndUnixSocketsIsThisHosts) {
  config::Service service;
  for (const char* local : {"", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"}) {
    EXPECT_FALSE(judged_by_own_address(service, local)) << local;
  }
  for (const char* remote : {"10.0.0.1", "128.0.0.1", "::2", "fe80::1", "12.7.0.1"})
    EXPECT_TRUE(judged_by_own_address(service, remote)) << remote;
  service.identity = config::IdentityMode::as_connected;
  for (const char* any : {"", "127.0.0.1", "10.0.0.1"})
    EXPECT_TRUE(judged_by_own_address(service, any));
}

TEST(Address, OfAUnixSocketIsLocalhostInErrors) {
  EXPECT_EQ(quoted_account("app", ""), "'app'@'localhost'");
  EXPECT_EQ(quoted_account("app", "10.0.0.5"), "'app'@'10.0.0.5'");
}

TEST(ClientTls, IsThatOfTheClientsLeg) {
  SessionState s{.client_ip = "10.0.0.1"};
  s.home.tls = std::make_unique<tls::Info>();
  auto tls = client_tls_of(s);
  EXPECT_FALSE(tls.encrypted || tls.unix_socket || tls.verified_certificate);
  s.client_ip.clear();
  EXPECT_TRUE(client_tls_of(s).unix_socket);
  s.client_tls = std::make_unique<tls::Info>(tls::Info{.version = "TLSv1.3",
                                                       .cipher = "C",
                                                       .peer_verified = true,
                                                       .peer_subject = "S",
                                                       .peer_issuer = "I"});
  tls = client_tls_of(s);
  EXPECT_TRUE(tls.encrypted && tls.verified_certificate);
  EXPECT_EQ(tls.cipher, "C");
  EXPECT_EQ(tls.subject, "S");
  EXPECT_EQ(tls.issuer, "I");
}

// Who has proved the account's password.

SessionState answered(std::string_view proof, std::string_view plugin) {
  Bytes payload;
  ByteWriter w(payload);
  w.fixed<uint32_t>(mysql::kProtocol41 | mysql::kSecureConnection | mysql::kPluginAuth);
  w.fixed<uint32_t>(mysql::kMaxPayload);
  w.byte(45);
  w.zeros(23);
  w.nul_text("app");
  w.byte(static_cast<uint8_t>(proof.size()));
  w.text(proof);
  w.nul_text(plugin);
  SessionState s;
  s.login = std::make_unique<Login>();
  s.login->answer = std::move(payload);
  s.login->plugin = plugin;
  s.login->with_password = !proof.empty();
  const auto scramble = as_bytes("01234567890123456789");
  s.login->scramble.assign(scramble.begin(), scramble.end());
  return s;
}

/// The answer to that scramble with the password 'secret'.
const std::string kRight(
    "\x7a\xbe\x1a\x87\x76\xb5\x9e\x93\x10\x59"
    "\x45\x1f\x81\xe5\x96\xa6\x0d\xbb\xf7\xa8",
    20);

TEST(Proof, OfTheOwnAccountIsKnownByItsHash) {
  const Judgement judgement{Verdict::other, "x", kHash};
  EXPECT_TRUE(proves_account(answered(kRight, "mysql_native_password"), judgement));
  EXPECT_TRUE(proves_account(answered(kRight, ""), judgement));
  auto wrong = kRight;
  wrong[3] ^= 1;
  EXPECT_FALSE(proves_account(answered(wrong, "mysql_native_password"), judgement));
  EXPECT_FALSE(proves_account(answered("", "mysql_native_password"), judgement));
  EXPECT_FALSE(proves_account(answered(kRight, "client_ed25519"), judgement));
  EXPECT_FALSE(proves_account(answered(kRight, "mysql_native_password"), {Verdict::other, "x"}));
  EXPECT_FALSE(
      proves_account(answered(kRight, "mysql_native_password"), {Verdict::other, "x", "invalid"}));
  auto again = answered(kRight, "mysql_native_password");
  again.login->change_user = true;
  EXPECT_FALSE(proves_account(again, judgement)) << "its scramble is another";
}

TEST(Proof, OfAnAccountWithoutAPasswordIsNone) {
  const Judgement judgement{Verdict::other, "x", ""};
  EXPECT_TRUE(proves_account(answered("", "mysql_native_password"), judgement));
  EXPECT_FALSE(proves_account(answered(kRight, "mysql_native_password"), judgement));
}

}  // namespace
}  // namespace sluice::worker
