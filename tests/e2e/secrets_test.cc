/// What logins leave behind: no password and no hash in the log, in what commands print, in memory
/// that could be dumped; and nothing that tells a wrong user from a wrong password.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mysqld_error.h>
#include <sys/stat.h>
#include <unistd.h>

#include <future>

#include "tests/support/certificates.h"
#include "tests/support/free_port.h"
#include "tests/support/login_attempt.h"
#include "tests/support/mysql_server.h"
#include "tests/support/pam_server.h"
#include "tests/support/process_memory.h"
#include "tests/support/sluice.h"

namespace sluice::test {
namespace {

constexpr const char* kNativePassword = "native-R7kq2w-secret";
constexpr const char* kSha2Password = "caching-Xp40Zt-secret";

std::string service_tls(const TempDir& directory) {
  const auto files = write_files(directory, "proxy", self_signed());
  return fmt::format("tls = {{ mode = \"preferred\", certificate = \"{}\", key = \"{}\" }}",
                     files.certificate, files.key);
}

LoginAttempt attempt(const Sluice& sluice, const std::string& service, const std::string& user,
                     const std::string& password) {
  LoginAttempt out;
  out.port = sluice.port(service);
  out.user = user;
  out.password = password;
  return out;
}

void load_accounts(const Sluice& sluice) {
  ASSERT_TRUE(eventually(20s, [&] {
    return sluice.ctl({"reload", "accounts"}).exit_code == 0;
  })) << sluice.log();
}

/// All that commands can be made to say.
std::string all_that_is_told(const Sluice& sluice, const std::string& user) {
  std::vector<std::vector<std::string>> commands{
      {"status"}, {"reload", "--dry-run"}, {"explain", "login", user, "127.0.0.1"}};
  for (const char* kind :
       {"clusters", "servers", "services", "listeners", "workers", "sessions", "accounts"})
    commands.push_back({"list", kind});
  for (const auto& [name, cluster] : sluice.config.clusters) {
    commands.push_back({"show", "cluster", name});
    commands.push_back({"explain", "login", user, "10.0.0.1", name});
    for (const auto* server : cluster.servers)
      commands.push_back({"show", "server", name + "/" + server->name()});
  }
  for (const auto& [name, service] : sluice.config.services)
    commands.push_back({"show", "service", name});
  for (const auto& session : sluice.ctl_json({"list", "sessions"}))
    commands.push_back({"show", "session", session.at("session").get<std::string>()});
  for (const pid_t pid : sluice.worker_pids())
    commands.push_back({"show", "worker", std::to_string(pid)});
  std::string told;
  for (auto command : commands)
    for (const bool json : {false, true}) {
      if (json) command.insert(command.begin(), "--json");
      const auto result = sluice.ctl(command);
      EXPECT_EQ(result.exit_code, 0) << command.back() << ": " << result.err;
      told += result.out + result.err;
    }
  return told;
}

/// `secret` is in no log, no output and no worker's memory.
void expect_forgotten(const Sluice& sluice, const std::string& told, const std::string& secret) {
  EXPECT_EQ(sluice.log().find(secret), std::string::npos) << secret;
  EXPECT_EQ(sluice.printed().find(secret), std::string::npos) << secret;
  EXPECT_EQ(told.find(secret), std::string::npos) << secret;
  if (::geteuid() != 0) return;
  for (const pid_t pid : sluice.worker_pids())
    EXPECT_THAT(memory_with(pid, secret), testing::IsEmpty()) << secret;
}

/// The hash is where every worker reads the accounts, and nowhere else.
void expect_only_among_accounts(const Sluice& sluice, const std::string& told,
                                const std::string& hash) {
  EXPECT_EQ(sluice.log().find(hash), std::string::npos);
  EXPECT_EQ(told.find(hash), std::string::npos);
  if (::geteuid() != 0) return;
  for (const pid_t pid : sluice.worker_pids())
    EXPECT_THAT(memory_with(pid, hash), testing::ElementsAre(testing::HasSubstr("accounts")));
}

// What is left of a password.

TEST(Secrets, OfNativeLoginsStayAtTheirEnds) {
  const TempDir directory;
  MariadbServer server;
  server.exec(fmt::format("CREATE USER web@'127.%' IDENTIFIED BY '{}'", kNativePassword));
  SluiceConfig config;
  config.add_cluster("shop", "single", {&server});
  config.add_service("plain", "shop").extra = service_tls(directory);
  config.add_service("central", "shop").extra = "identity = \"as-connected\"";
  Sluice sluice(config);
  load_accounts(sluice);
  ASSERT_EQ(sluice.ctl({"log", "level", "debug"}).exit_code, 0);
  std::vector<Client> open;
  for (const char* service : {"plain", "central"})
    for (int i = 0; i < 4; ++i) {  // every worker gets some
      open.emplace_back(sluice.endpoint(service, "web", kNativePassword));
      EXPECT_FALSE(try_login(attempt(sluice, service, "web", "wrong"), {}).accepted());
      EXPECT_FALSE(try_login(attempt(sluice, service, "web2", kNativePassword), {}).accepted());
    }
  const auto told = all_that_is_told(sluice, "web");
  expect_forgotten(sluice, told, kNativePassword);
  const auto hash = server.value(
      "SELECT JSON_VALUE(Priv, '$.authentication_string') FROM "
      "mysql.global_priv WHERE User = 'web'");
  ASSERT_EQ(hash.size(), 41u);
  expect_only_among_accounts(sluice, told, hash);
}

TEST(Secrets, OfPamPassThroughAndAreForgotten) {
  if (const auto can = PamServer::available(); !can) GTEST_SKIP() << can.error();
  const TempDir directory;
  PamServer server(PamClient::ClearPassword);
  SluiceConfig config;
  config.add_cluster("shop", "single", {&server}).extra = "clear_passwords = \"anywhere\"";
  config.add_service("shop", "shop").extra = service_tls(directory);
  Sluice sluice(config);
  load_accounts(sluice);
  ASSERT_EQ(sluice.ctl({"log", "level", "debug"}).exit_code, 0);
  auto secret = attempt(sluice, "shop", "pam_user", kPamPassword);
  secret.tls.on = true;
  for (int i = 0; i < 6; ++i) {
    const auto outcome = try_login(secret, {});
    EXPECT_TRUE(outcome.accepted()) << outcome.describe();
  }
  expect_forgotten(sluice, all_that_is_told(sluice, "pam_user"), kPamPassword);
}

TEST(Secrets, OfFullSha2ExchangesPassThroughAndAreForgotten) {
  if (const auto can = MysqlServer::available(); !can) GTEST_SKIP() << can.error();
  const TempDir directory;
  MysqlServer server;
  SluiceConfig config;
  config.add_cluster("shop", "single", std::vector<MysqlServer*>{&server}).extra =
      "tls = { mode = \"required\" }";
  config.add_service("shop", "shop").extra = service_tls(directory);
  Sluice sluice(config);
  load_accounts(sluice);
  ASSERT_EQ(sluice.ctl({"log", "level", "debug"}).exit_code, 0);
  for (int i = 0; i < 6; ++i) {  // the server remembers nobody of them yet
    const auto user = fmt::format("sha{}", i);
    server.exec(fmt::format("CREATE USER {}@'%' IDENTIFIED BY '{}'", user, kSha2Password));
    auto secret = attempt(sluice, "shop", user, kSha2Password);
    secret.tls.on = true;
    const auto outcome = try_login(secret, {});
    EXPECT_TRUE(outcome.accepted()) << outcome.describe();
  }
  expect_forgotten(sluice, all_that_is_told(sluice, "sha0"), kSha2Password);
}

TEST(Secrets, NoProcessCanLeaveACore) {
  MariadbServer server;
  SluiceConfig config;
  config.add_cluster("shop", "single", {&server});
  config.add_service("shop", "shop");
  Sluice sluice(config);
  auto processes = sluice.worker_pids();
  ASSERT_TRUE(sluice.monitor_pid());
  processes.push_back(*sluice.monitor_pid());
  processes.push_back(sluice.pid());
  for (const pid_t pid : processes) {
    const auto limits = read_file(fmt::format("/proc/{}/limits", pid));
    const auto at = limits.find("Max core file size");
    EXPECT_THAT(limits.substr(at, 60), testing::ContainsRegex("size +0 +0 "));
    // The kernel gives what belongs to a process that can't be dumped to root (proc(5)).
    struct stat memory {};
    ASSERT_EQ(::stat(fmt::format("/proc/{}/mem", pid).c_str(), &memory), 0);
    EXPECT_EQ(memory.st_uid, 0u) << pid;
  }
}

// What a stranger can learn.

class Strangers : public testing::Test {
 protected:
  Strangers() : sluice_(configured(server_)) {
    server_.exec("CREATE USER web@'127.%' IDENTIFIED BY 'x'");
    load_accounts(sluice_);
  }
  static SluiceConfig configured(MariadbServer& server) {
    SluiceConfig config;
    config.add_cluster("shop", "single", {&server});
    config.add_service("local", "shop").extra = "max_failed_logins = 0";
    config.add_service("judged", "shop").extra =
        "identity = \"as-connected\"\nmax_failed_logins = 0";
    return config;
  }
  struct Try {
    LoginOutcome outcome;
    double milliseconds = 0;
  };
  Try tried(const std::string& service, const std::string& user) const {
    auto wrong = attempt(sluice_, service, user, "wrong");
    wrong.bind_address = "127.0.0.2";
    const auto start = Clock::now();
    auto outcome = try_login(wrong, {});
    return {std::move(outcome),
            std::chrono::duration<double, std::milli>(Clock::now() - start).count()};
  }
  static void expect_alike(const LoginOutcome& known, LoginOutcome unknown) {
    EXPECT_EQ(known.error, unsigned{ER_ACCESS_DENIED_ERROR}) << known.text;
    EXPECT_EQ(unknown.error, known.error);
    EXPECT_EQ(unknown.packets, known.packets);
    const auto name = unknown.text.find("'who'");
    ASSERT_NE(name, std::string::npos) << unknown.text;
    EXPECT_EQ(unknown.text.replace(name, 5, "'web'"), known.text);
  }
  static double median(std::vector<double> all) {
    std::ranges::nth_element(all, all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2));
    return all[all.size() / 2];
  }

  MariadbServer server_;
  Sluice sluice_;
};

TEST_F(Strangers, LearnNothingWhereTheServerJudges) {
  std::vector<double> known, unknown;
  for (int i = 0; i < 60; ++i) {
    const auto wrong_password = tried("local", "web"), wrong_user = tried("local", "who");
    expect_alike(wrong_password.outcome, wrong_user.outcome);
    known.push_back(wrong_password.milliseconds);
    unknown.push_back(wrong_user.milliseconds);
  }
  fmt::print("a wrong password {:.2f} ms, a wrong user {:.2f} ms\n", median(known),
             median(unknown));
  EXPECT_LT(std::abs(median(known) - median(unknown)), 5) << "milliseconds";
}

/// Both wait for tables that might know better; those that begin together end together.
TEST_F(Strangers, LearnNothingWhereSluiceLooks) {
  std::vector<double> differences;
  for (int i = 0; i < 10; ++i) {
    auto other = std::async(std::launch::async, [&] { return tried("judged", "who"); });
    const auto wrong_password = tried("judged", "web"), wrong_user = other.get();
    expect_alike(wrong_password.outcome, wrong_user.outcome);
    differences.push_back(wrong_password.milliseconds - wrong_user.milliseconds);
  }
  fmt::print("a wrong password takes {:.2f} ms more than a wrong user\n", median(differences));
  EXPECT_LT(std::abs(median(differences)), 50) << "milliseconds";
}

}  // namespace
}  // namespace sluice::test
