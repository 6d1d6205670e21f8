#include "master/parser_child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/version.h"
#include "common/ipc/channel.h"
#include "common/process/master_link.h"
#include "master/config/load.h"

namespace sluice::master {
namespace {

void add_keys(ipc::ParsedConfig& parsed, const config::KeyKinds& wanted) {
  auto keys = config::make_keys(parsed.config, wanted, wall_clock_s());
  if (keys)
    parsed.keys = std::move(*keys);
  else
    parsed.problems.push_back({.text = keys.error().message});
}

}  // namespace

ipc::ParsedConfig read_configuration(const std::string& path, config::Purpose purpose) {
  auto parsed = config::load(path, purpose);
  if (::geteuid() != 0 || !config::usable(parsed)) return parsed;  // nobody to drop to
  const auto& process = parsed.config.sluice;
  const auto missing = [&](const char* key, const char* what, const std::string& name,
                           const char* program) {
    parsed.problems.push_back(
        {.file = path,
         .key = key,
         .text = fmt::format("there is no {} \"{}\" on this machine", what, name),
         .hint = fmt::format("make it ({} --system {}), or name another one with {}", program, name,
                             key)});
  };
  if (const passwd* user = ::getpwnam(process.user.c_str()))
    parsed.uid = user->pw_uid;
  else
    missing("sluice.user", "user", process.user, "useradd");
  if (const group* found = ::getgrnam(process.group.c_str()))
    parsed.gid = found->gr_gid;
  else
    missing("sluice.group", "group", process.group, "groupadd");
  return parsed;
}

int parse_for_master(const std::string& path, const config::KeyKinds& wanted) {
  ipc::Channel channel{UniqueFd(process::kChannelFd)};
  if (!channel.send(ipc::Hello{.role = ipc::Role::parser, .release = std::string(kRelease)}))
    return 1;
  auto parsed = read_configuration(path, config::Purpose::use);
  if (config::usable(parsed)) add_keys(parsed, wanted);
  if (!channel.send(parsed)) return 1;
  while (channel.wants_write()) {
    pollfd ready{channel.fd(), POLLOUT, 0};
    ::poll(&ready, 1, 1000);
    if (!channel.flush()) return 1;
  }
  return 0;
}

}  // namespace sluice::master
