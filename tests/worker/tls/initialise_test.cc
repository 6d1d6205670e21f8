// What the worker may still do when it has locked itself in.
#include "worker/tls/initialise.h"

#include <gtest/gtest.h>
#include <seccomp.h>

#include "tests/worker/tls/samples.h"

namespace sluice::tls {
namespace {

/// Whoever opens a file or asks about one from now on is killed.
void forbid_files() {
  void* filter = seccomp_init(SCMP_ACT_ALLOW);
  for (const int call :
       {SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(stat), SCMP_SYS(access), SCMP_SYS(faccessat),
        SCMP_SYS(readlink), SCMP_SYS(socket), SCMP_SYS(ioctl)})
    seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, call, 0);
  if (seccomp_load(filter) != 0) std::_Exit(77);
}

/// Everything that a worker ever does with TLS, in a process that has done nothing of it before.
void live_locked_in() {
  if (!initialise()) std::_Exit(1);
  forbid_files();
  const Authority authority;
  auto service = service_with(authority.server);
  service.tls.ca_pem = authority.ca.pem();
  auto server = server_with(authority.ca.pem());
  server.tls.certificate_pem = authority.client.pem;
  server.tls.key_pem = Secret(authority.client.key_pem);
  const auto client = towards_server(server), worker = towards_clients(service);
  for (int i = 0; i < 2; ++i) {
    auto c = join(client, worker);
    c.begin();
    if (!c.established() || c.client.layer->info().resumed != (i == 1)) std::_Exit(2);
    if (c.server.layer->info().peer_not_after_s == 0) std::_Exit(3);
  }
  auto stranger =
      join(towards_server(server_with(test::CertificateAuthority("Other").pem())), worker);
  if (stranger.begin().client.error.empty()) std::_Exit(4);
  std::_Exit(0);
}

TEST(Initialise, LeavesNoFileToBeOpenedLater) {
  GTEST_FLAG_SET(death_test_style,
                 "threadsafe");  // a new process: nothing is there from other tests
  EXPECT_EXIT(live_locked_in(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace sluice::tls
