#include "master/config/load.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "master/config/parse.h"
#include "tests/master/config/certificates.h"

namespace sluice::config {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kCluster = R"(
[cluster.shop]
servers = { db1 = "10.0.0.11" }
account = { user = "sluice", password_file = "shop.password" }
)";
constexpr std::string_view kService = R"(
[service.shop]
cluster = "shop"
router = "connection"
listen = ["127.0.0.1:3306"]
)";

class Load : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/sluice-load-XXXXXX";
    ASSERT_TRUE(::mkdtemp(pattern.data()));
    directory_ = pattern;
    fs::create_directory(directory_ / "conf.d");
    put("shop.password", "s3cret\n");
    ::chmod((directory_ / "shop.password").c_str(), 0600);
  }
  void TearDown() override { fs::remove_all(directory_); }
  void put(const std::string& name, std::string_view text) const {
    std::ofstream(directory_ / name, std::ios::binary) << text;
  }
  std::string path() const { return directory_ / "sluice.toml"; }
  static std::string said(const ipc::ParsedConfig& parsed) {
    std::string text;
    for (const auto& problem : parsed.problems) text += render(problem) + "\n";
    return text;
  }
  fs::path directory_;
};

TEST_F(Load, ReadsTheFileAndItsParts) {
  put("sluice.toml", kCluster);
  put("conf.d/service.toml", kService);
  const auto parsed = load(path());
  EXPECT_EQ(said(parsed), "");
  EXPECT_TRUE(usable(parsed));
  EXPECT_EQ(parsed.config.cluster("shop")->password.reveal(), "s3cret");
}

TEST_F(Load, LeavesOutHiddenFilesAndBackups) {
  put("sluice.toml", std::string(kCluster) + std::string(kService));
  for (const auto name : {".hidden.toml", ".x.toml.swp", "#x.toml#", "x.toml~", "x.toml.bak",
                          "x.toml.dpkg-old", "README"})
    put(std::string("conf.d/") + name, "not = toml = at all");
  fs::create_symlink("somebody@host.123:456", directory_ / "conf.d/.#x.toml");
  EXPECT_EQ(said(load(path())), "");
}

TEST_F(Load, NoConfigurationSaysWhereItWasLookedForAndShowsOne) {
  const auto parsed = load(path());
  EXPECT_FALSE(usable(parsed));
  const auto text = said(parsed);
  EXPECT_TRUE(text.starts_with(path() + ": there is no configuration\n")) << text;
  EXPECT_NE(text.find(directory_.string() + "/conf.d/*.toml"), std::string::npos) << text;
  EXPECT_NE(text.find("[service.shop]"), std::string::npos) << text;
}

TEST_F(Load, WhatCanNotBeReadIsSaidAndTheRestIsChecked) {
  put("sluice.toml", "[sluice]\nwrokers = 1\n");
  fs::create_directory(directory_ / "conf.d/directory.toml");
  fs::create_symlink("nowhere", directory_ / "conf.d/link.toml");
  ASSERT_EQ(::mkfifo((directory_ / "conf.d/pipe.toml").c_str(), 0600), 0);
  const auto parts = directory_.string() + "/conf.d/";
  EXPECT_EQ(said(load(path())),
            path() + ":2:1: sluice: unknown key \"wrokers\"\n  hint: did you mean \"workers\"?\n" +
                parts + "directory.toml: can't read the file: not a regular file\n" + parts +
                "link.toml: can't read the file: No such file or directory\n" + parts +
                "pipe.toml: can't read the file: not a regular file\n");
}

TEST_F(Load, AnUnreadableFileIsSaid) {
  if (::geteuid() == 0) GTEST_SKIP() << "root reads everything";
  put("sluice.toml", kCluster);
  ::chmod(path().c_str(), 0);
  EXPECT_EQ(said(load(path())), path() + ": can't read the file: Permission denied\n");
}

TEST_F(Load, ClearPasswordsDeserveAWarningOnlyWhereOthersCanRead) {
  put("sluice.toml", std::string(kService) + R"(
[cluster.shop]
servers = { db1 = "10.0.0.11" }
account = { user = "sluice", password = "s3cret" }
)");
  ::chmod(path().c_str(), 0640);
  EXPECT_EQ(said(load(path())), "");
  ::chmod(path().c_str(), 0644);
  const auto parsed = load(path());
  EXPECT_TRUE(usable(parsed));
  EXPECT_TRUE(said(parsed).starts_with(path() + ":9:41: warning: cluster.shop.account.password: "))
      << said(parsed);
}

TEST_F(Load, ReadsCredentialsOfSystemd) {
  put("sluice.toml", std::string(kService) + R"(
[cluster.shop]
servers = { db1 = "10.0.0.11" }
account = { user = "sluice", password_credential = "shop.password" }
)");
  ::unsetenv("CREDENTIALS_DIRECTORY");
  EXPECT_FALSE(usable(load(path())));
  // In an administrator's shell there are none, and `systemctl reload` can't read them either.
  const auto judged = load(path(), Purpose::judge);
  EXPECT_TRUE(usable(judged)) << said(judged);
  EXPECT_NE(said(judged).find("warning"), std::string::npos) << said(judged);
  ::setenv("CREDENTIALS_DIRECTORY", "/nonexistent", 1);
  EXPECT_FALSE(usable(load(path())));
  EXPECT_TRUE(usable(load(path(), Purpose::judge)));
  ::setenv("CREDENTIALS_DIRECTORY", directory_.c_str(), 1);
  const auto parsed = load(path());
  ::unsetenv("CREDENTIALS_DIRECTORY");
  EXPECT_EQ(said(parsed), "");
  EXPECT_EQ(parsed.config.cluster("shop")->password.reveal(), "s3cret");
}

TEST_F(Load, ReadsTheFilesOfTls) {
  const auto made = test::make_certificate(0, 253'402'300'799);
  put("shop.pem", made.certificate);
  put("shop.key", made.key);
  put("ca.pem", std::string(100'000, '#') + "\n" + made.certificate);  // larger than a password's
  ::chmod((directory_ / "shop.key").c_str(), 0600);
  put("sluice.toml", std::string(kCluster) + std::string(kService) + R"(
[service.shop.tls]
mode = "required"
certificate = "shop.pem"
key = "shop.key"
ca = "ca.pem"
)");
  const auto parsed = load(path());
  EXPECT_EQ(said(parsed), "");
  const Tls& tls = parsed.config.service("shop")->tls;
  EXPECT_EQ(tls.certificate_pem, made.certificate);
  EXPECT_EQ(tls.ca_pem, made.certificate);
  EXPECT_EQ(tls.key_pem.reveal(), made.key);

  ::chmod((directory_ / "shop.key").c_str(), 0644);
  const auto warned = load(path());
  EXPECT_TRUE(usable(warned));
  EXPECT_NE(said(warned).find("every user can read"), std::string::npos) << said(warned);
}

TEST_F(Load, ReadsEncryptedValues) {
  const auto key = (directory_ / "my.key").string();
  const auto value = encrypt(Secret("s3cret"), key);
  ASSERT_TRUE(value);
  put("sluice.toml", std::string(kService) + R"(
[cluster.shop]
servers = { db1 = "10.0.0.11" }
account = { user = "sluice", password = ")" +
                         *value + R"(" }

[sluice]
secrets_key = "my.key"
)");
  const auto parsed = load(path());
  EXPECT_EQ(said(parsed), "");
  EXPECT_EQ(parsed.config.cluster("shop")->password.reveal(), "s3cret");
}

}  // namespace
}  // namespace sluice::config
