#include "tests/support/private_system.h"

#include <fmt/format.h>

#include <filesystem>

#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;

constexpr int kFirstUid = 64000;  // nobody's on Debian (Policy 9.2.2)
constexpr int kNoGroup = 65534;

}  // namespace

PrivateSystem::PrivateSystem() {
  fs::create_directories(dir_ / "etc/pam.d");
  fs::create_directories(dir_ / "run");
  for (const char* name : {"passwd", "group", "hosts", "ld.so.cache"})
    fs::copy_file(fs::path("/etc") / name, dir_ / "etc/" + name);
  write_etc("nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files\n");
  write_etc("shadow", "", Mode::Secret);
  write_etc("pam.d/other", "auth required pam_deny.so\naccount required pam_deny.so\n");
}

bool PrivateSystem::available() {
  if (::geteuid() != 0) return false;
  Process probe({.argv = {"true"},
                 .output = {},
                 .account = std::nullopt,
                 .mounts = {{.what = "/etc", .where = "/etc"}}});
  return probe.wait(10s) == 0;
}

std::vector<Mount> PrivateSystem::mounts() const {
  return {{.what = dir_ / "etc", .where = "/etc"}, {.what = dir_ / "run", .where = "/run"}};
}

void PrivateSystem::write_etc(std::string_view name, std::string_view text, Mode mode) const {
  const auto path = dir_ / "etc/" + std::string(name);
  write_file(path, text);
  fs::permissions(path, static_cast<fs::perms>(mode == Mode::Open ? 0644 : 0600));
}

void PrivateSystem::add_user(std::string_view name, std::string_view hash) const {
  auto users = read_file(dir_ / "etc/passwd");
  auto hashes = read_file(dir_ / "etc/shadow");
  const auto uid = kFirstUid + std::ranges::count(hashes, '\n');
  users += fmt::format("{}:x:{}:{}::/nonexistent:/usr/sbin/nologin\n", name, uid, kNoGroup);
  hashes += fmt::format("{}:{}:20000:0:99999:7:::\n", name, hash);
  write_etc("passwd", users);
  write_etc("shadow", hashes, Mode::Secret);
}

}  // namespace sluice::test
