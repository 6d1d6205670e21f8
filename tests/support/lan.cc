#include "tests/support/lan.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/process.h"
#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

UniqueFd here() {
  UniqueFd fd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!fd) throw TestError(fmt::format("open the network namespace: {}", ::strerror(errno)));
  return fd;
}

void go_to(const UniqueFd& network) {
  if (::setns(network.get(), CLONE_NEWNET) != 0)
    throw TestError(fmt::format("enter a network namespace: {}", ::strerror(errno)));
}

}  // namespace

Host::Host() {
  const auto home = here();
  if (::unshare(CLONE_NEWNET) != 0)
    throw TestError(fmt::format("make a network namespace: {}", ::strerror(errno)));
  namespace_ = here();
  go_to(home);
}

At::At(const Host& host) : home_(here()) {
  go_to(host.namespace_);
}

At::~At() {
  if (::setns(home_.get(), CLONE_NEWNET) != 0) ::abort();  // else the rest of the test is elsewhere
}

std::string Lan::obstacle() {
  if (::geteuid() != 0) return "only root can make network namespaces";
  if (run_command({"ip", "-V"}).exit_code != 0) return "there is no program ip (iproute2)";
  try {
    const Lan lan;
  } catch (const TestError& error) {
    return error.what();
  }
  return "";
}

Lan::Lan() {
  ip(bridge_, {"link", "add", "bridge0", "type", "bridge"});
  ip(bridge_, {"link", "set", "bridge0", "up"});
}

void Lan::ip(const Host& host, const std::vector<std::string>& arguments) {
  const At there(host);
  std::vector<std::string> argv{"ip"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  const auto result = run_command(argv);
  if (result.exit_code != 0)
    throw TestError(fmt::format("{}: {}", fmt::join(argv, " "), result.err));
}

std::unique_ptr<Host> Lan::add_host(const std::vector<std::string>& addresses) {
  auto host = std::make_unique<Host>();
  const auto port = fmt::format("port{}", ++ports_);
  const auto network = fmt::format("/proc/{}/fd/{}", ::getpid(), host->namespace_.get());
  ip(bridge_, {"link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", network});
  ip(bridge_, {"link", "set", port, "master", "bridge0", "up"});
  ip(*host, {"link", "set", "lo", "up"});
  ip(*host, {"link", "set", "eth0", "up"});
  for (const auto& address : addresses) {
    std::vector<std::string> add{"address", "add", address, "dev", "eth0"};
    if (address.find(':') != std::string::npos) add.push_back("nodad");  // usable at once
    ip(*host, add);
  }
  return host;
}

}  // namespace sluice::test
