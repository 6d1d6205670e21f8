#include "master/config/secrets.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/master/config/fixture.h"

namespace sluice::config {
namespace {

class Secrets : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/sluice-secrets-XXXXXX";
    ASSERT_TRUE(::mkdtemp(pattern.data()));
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string path(const std::string& name) const { return directory_ + "/" + name; }
  std::string put(const std::string& name, std::string_view text) const {
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }
  std::string directory_;
};

TEST_F(Secrets, DecryptOfEncryptIsTheSame) {
  for (const std::string& clear : {std::string("s3cret"), std::string(), std::string(10'000, 'x'),
                                   std::string("a\0b", 3), std::string("ünï\n")}) {
    const auto value = encrypt(Secret(clear), path("key"));
    ASSERT_TRUE(value) << value.error().message;
    EXPECT_TRUE(value->starts_with("encrypted:"));
    const auto back = decrypt(*value, path("key"));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(back->reveal(), clear);
  }
}

TEST_F(Secrets, TheKeyIsMadeOnceAndForItsOwnerOnly) {
  const auto first = encrypt(Secret("s3cret"), path("key")).value();
  struct stat status {};
  ASSERT_EQ(::stat(path("key").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  const auto second = encrypt(Secret("s3cret"), path("key")).value();
  EXPECT_NE(first, second) << "a nonce was used twice";
  EXPECT_EQ(decrypt(first, path("key")).value().reveal(), "s3cret");
  const auto files = std::filesystem::directory_iterator(directory_);
  EXPECT_EQ(std::distance(begin(files), end(files)), 1) << "a temporary file is left";
}

TEST_F(Secrets, NoDirectoryIsSaid) {
  const auto value = encrypt(Secret("s3cret"), path("none/key"));
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error().message, "make " + path("none/key") + ": No such file or directory");
}

TEST_F(Secrets, AFileThatIsNoKeyIsNotUsedNorReplaced) {
  const auto key = put("key", "hunter2\n");
  const auto value = encrypt(Secret("s3cret"), key);
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error().message, key + ": not a key file (it holds 32 bytes as Base64)");
  std::ifstream in(key);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "hunter2\n");
}

TEST_F(Secrets, EveryDamageIsNoticed) {
  const Secret key{std::string(test::kKeyText)};
  const auto value = encrypt(Secret("s3cret"), put("key", test::kKeyText)).value();
  ASSERT_EQ(decrypt_with(value, key).value().reveal(), "s3cret");
  for (std::size_t i = 0; i < value.size(); ++i) {
    auto damaged = value;
    damaged[i] = damaged[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(decrypt_with(damaged, key)) << "byte " << i;
    EXPECT_FALSE(decrypt_with(value.substr(0, i), key)) << "cut at " << i;
  }
  for (const auto text : {"", "encrypted:", "encrypted:====", "encrypted:AQ==", " encrypted:AAAA",
                          "encrypted:AAA A", "encrypted:\nAAA"})
    EXPECT_FALSE(decrypt_with(text, key)) << text;
}

TEST_F(Secrets, AnotherKeyIsSaid) {
  const auto value = encrypt(Secret("s3cret"), path("one")).value();
  ASSERT_TRUE(encrypt(Secret("x"), path("two")));
  EXPECT_EQ(decrypt(value, path("two")).error().message,
            "the value was encrypted with another key, or is damaged");
  EXPECT_EQ(decrypt(value, path("none")).error().sys_errno, ENOENT);
}

TEST_F(Secrets, ReadsRegularFilesOnly) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  EXPECT_EQ(read_secret_file(path("fifo")).error().message, path("fifo") + ": not a regular file");
  EXPECT_FALSE(read_secret_file(directory_));
  EXPECT_FALSE(read_secret_file(path("none")));
  EXPECT_FALSE(read_secret_file(put("large", std::string(65'537, 'x'))));
  EXPECT_EQ(read_secret_file(put("fits", std::string(65'536, 'x'))).value().text.reveal().size(),
            65'536u);
}

TEST_F(Secrets, PemFilesMayBeLarger) {
  EXPECT_TRUE(read_pem_file(put("fits", std::string(1 << 20, 'x'))));
  EXPECT_EQ(read_pem_file(put("large", std::string((1 << 20) + 1, 'x'))).error().message,
            path("large") + ": larger than 1MiB");
}

TEST_F(Secrets, NoticesThatOthersCanRead) {
  const auto file = put("file", "s3cret\n");
  ::chmod(file.c_str(), 0640);
  EXPECT_FALSE(read_secret_file(file).value().others_can_read);
  ::chmod(file.c_str(), 0644);
  EXPECT_TRUE(read_secret_file(file).value().others_can_read);
}

TEST(PasswordOf, IsOneLineWithoutItsEnd) {
  EXPECT_EQ(password_of(Secret("s3cret")).value().reveal(), "s3cret");
  EXPECT_EQ(password_of(Secret("s3cret\n")).value().reveal(), "s3cret");
  EXPECT_EQ(password_of(Secret("s3cret\r\n")).value().reveal(), "s3cret");
  EXPECT_EQ(password_of(Secret(" s3cret \n")).value().reveal(), " s3cret ");
  for (const std::string& text : {std::string(), std::string("\n"), std::string("a\nb"),
                                  std::string("a\n\n"), std::string("a\0", 2)})
    EXPECT_FALSE(password_of(Secret(text)));
}

}  // namespace
}  // namespace sluice::config
