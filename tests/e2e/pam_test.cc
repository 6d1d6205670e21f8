/// Logins that PAM judges on the server: a password, a password and a code, a directory. Sluice
/// only carries what the two say to each other, however long it takes.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <future>

#include "tests/support/dialog.h"
#include "tests/support/pam_server.h"
#include "tests/support/sluice.h"

namespace sluice::test {
namespace {

/// How a client gets to the server. The password crosses the client's leg as it is, so that leg is
/// none that others can read.
enum class Way { Direct, Socket };

std::string name_of(const testing::TestParamInfo<Way>& info) {
  return info.param == Way::Direct ? "Direct" : "Socket";
}

/// One sluice, with a service for each of two servers: one asks by `dialog`, the other takes clear
/// passwords.
class Pam : public testing::TestWithParam<Way> {
 protected:
  static void SetUpTestSuite() {
    if (!PamServer::available()) return;
    if (LdapServer::available()) ldap_ = std::make_unique<LdapServer>();
    dialog_ = std::make_unique<PamServer>(PamClient::Dialog, ldap_.get());
    clear_ = std::make_unique<PamServer>(PamClient::ClearPassword, ldap_.get());
    sluice_ = std::make_unique<Sluice>(SluiceConfig{}, Sluice::Start::Stopped);
    for (const auto& [name, server] :
         {std::pair("dialog", dialog_.get()), {"clear", clear_.get()}}) {
      sluice_->config.add_cluster(name, "single", {server}).extra =
          "clear_passwords = \"anywhere\"";
      sluice_->config.add_service(name, name).listen.push_back(sluice_->path(name));
    }
    sluice_->start();
    for (const char* name : {"dialog", "clear"})
      EXPECT_TRUE(eventually(10s, [&] {
        return Client::connect(sluice_->endpoint(name)).has_value();
      })) << sluice_->log();
  }
  static void TearDownTestSuite() {
    sluice_.reset();
    clear_.reset();
    dialog_.reset();
    ldap_.reset();
  }
  void SetUp() override {
    if (const auto can = PamServer::available(); !can) GTEST_SKIP() << can.error();
    dialog_->renew_code();
  }

  /// Where a client of this way goes for `service`.
  static ClientOptions endpoint(const std::string& service, const std::string& user,
                                const std::string& password) {
    const auto& server = service == "dialog" ? *dialog_ : *clear_;
    auto options = server.endpoint(user, password);
    if (GetParam() == Way::Socket) options.socket = sluice_->path(service);
    return options;
  }
  static std::string outcome(const std::string& service, const std::string& user,
                             const std::string& password) {
    auto client = Client::connect(endpoint(service, user, password));
    if (!client) return fmt::format("{} {}", client.error().code, client.error().text);
    return "as " + client->value("SELECT CURRENT_USER()");
  }
  /// The server resolves the only address that it sees.
  static std::string refused(const char* user) {
    return fmt::format("1045 Access denied for user '{}'@'localhost' (using password: NO)", user);
  }

  static inline std::unique_ptr<LdapServer> ldap_;
  static inline std::unique_ptr<PamServer> dialog_, clear_;
  static inline std::unique_ptr<Sluice> sluice_;
};
INSTANTIATE_TEST_SUITE_P(By, Pam, testing::Values(Way::Direct, Way::Socket), name_of);

TEST_P(Pam, OnePassword) {
  for (const char* service : {"dialog", "clear"}) {
    EXPECT_EQ(outcome(service, "pam_user", kPamPassword), "as pam_user@%") << service;
    EXPECT_EQ(outcome(service, "pam_user", "wrong"), refused("pam_user")) << service;
    EXPECT_EQ(outcome(service, "pam_user", kPamPassword), "as pam_user@%") << service;
  }
}

TEST_P(Pam, AQuestionMayBeAnsweredByHand) {
  const Dialog by_hand({kPamPassword, "wrong"});
  EXPECT_EQ(outcome("dialog", "pam_user", ""), "as pam_user@%");
  EXPECT_EQ(outcome("dialog", "pam_user", ""), refused("pam_user"));
  EXPECT_EQ(by_hand.asked(), (std::vector<std::string>{"Password: ", "Password: "}));
}

TEST_P(Pam, TwoQuestions) {
  const std::string second = "One-time password (OATH) for `two_questions': ";
  {
    const Dialog dialog({"000000"});
    EXPECT_EQ(outcome("dialog", "two_questions", kPamPassword), refused("two_questions"));
    EXPECT_EQ(dialog.asked(), std::vector<std::string>{second});
  }
  {
    const Dialog dialog({kPamPassword, kPamCode});
    EXPECT_EQ(outcome("dialog", "two_questions", ""), "as two_questions@%");
    EXPECT_EQ(dialog.asked(), (std::vector<std::string>{"Password: ", second}));
  }
  // The code is used up: nobody logged in twice with what the client said once.
  const Dialog dialog({kPamCode});
  EXPECT_EQ(outcome("dialog", "two_questions", kPamPassword), refused("two_questions"));
}

TEST_P(Pam, ADirectory) {
  if (!ldap_) GTEST_SKIP() << LdapServer::available().error();
  for (const char* service : {"dialog", "clear"}) {
    EXPECT_EQ(outcome(service, "ldap_user", kLdapPassword), "as ldap_user@%") << service;
    EXPECT_EQ(outcome(service, "ldap_user", "wrong"), refused("ldap_user")) << service;
  }
}

/// A directory that does not answer holds up those who wait for it, and nobody else.
TEST_P(Pam, ASlowDirectoryHoldsUpNobodyElse) {
  if (!ldap_) GTEST_SKIP() << LdapServer::available().error();
  ldap_->suspend();
  auto slow =
      std::async(std::launch::async, [] { return outcome("dialog", "ldap_user", kLdapPassword); });
  for (int i = 0; i < 8; ++i)  // every worker gets some
    EXPECT_EQ(outcome("dialog", "pam_user", kPamPassword), "as pam_user@%");
  EXPECT_EQ(slow.wait_for(0s), std::future_status::timeout) << slow.get();
  ldap_->resume();
  EXPECT_EQ(slow.get(), "as ldap_user@%");
}

TEST_P(Pam, ChangeUserAsksToo) {
  Client client(endpoint("dialog", "app", "app-secret"));
  EXPECT_TRUE(client.change_user("pam_user", kPamPassword));
  EXPECT_EQ(client.value("SELECT CURRENT_USER()"), "pam_user@%");
  const Dialog dialog({kPamCode});
  EXPECT_TRUE(client.change_user("two_questions", kPamPassword));
  EXPECT_EQ(client.value("SELECT CURRENT_USER()"), "two_questions@%");
  const auto changed = client.change_user("pam_user", "wrong");
  ASSERT_FALSE(changed);
  EXPECT_EQ(fmt::format("{} {}", changed.error().code, changed.error().text), refused("pam_user"));
}

TEST_P(Pam, PasswordsAndCodesAreInNoLog) {
  const Dialog dialog({kPamCode});
  EXPECT_EQ(outcome("dialog", "two_questions", kPamPassword), "as two_questions@%");
  for (const char* secret : {kPamPassword, kPamCode, kLdapPassword})
    EXPECT_EQ(sluice_->log().find(secret), std::string::npos) << secret;
}

}  // namespace
}  // namespace sluice::test
