#include "master/ctl/client.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "tests/master/ctl/fake_master.h"

namespace sluice::ctl {
namespace {

using namespace std::literals;
using ::testing::HasSubstr;

const ipc::ControlRequest kStatus{"status", {}};

Error error_from(FakeMaster::Script script) {
  const FakeMaster master(std::move(script));
  const auto reply = ask(master.path(), kStatus, 10s);
  return reply ? Error{} : reply.error();
}

TEST(Ask, SendsTheRequestAndReturnsTheReply) {
  ipc::ControlRequest seen;
  ipc::ControlReply reply;
  reply.message = "done";
  {
    const FakeMaster master(FakeMaster::answering(reply, &seen));
    const auto got = ask(master.path(), {"set server", {"shop/db1", "clear"}}, 10s);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(got->message, "done");
  }
  EXPECT_EQ(seen.command, "set server");
  EXPECT_THAT(seen.arguments, ::testing::ElementsAre("shop/db1", "clear"));
}

TEST(Ask, TakesRepliesLargerThanADatagram) {
  ipc::ControlReply reply;
  reply.table.columns = {{"id", ipc::Kind::number}};
  for (int i = 0; i < 50'000; ++i) reply.table.rows.push_back({{std::to_string(i)}});
  const FakeMaster master(FakeMaster::answering(reply));
  const auto got = ask(master.path(), kStatus, 10s);
  ASSERT_TRUE(got) << got.error().message;
  ASSERT_EQ(got->table.rows.size(), 50'000u);
  EXPECT_EQ(got->table.rows.back().cells.front(), "49999");
}

TEST(Ask, SaysWhenNobodyIsThere) {
  const SocketPath path;
  const auto missing = ask(path.str(), kStatus, 10s);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message,
            "is sluiced running? there is no control socket at " + path.str());

  path.listen();  // and closed again: a socket that a killed daemon left
  const auto stale = ask(path.str(), kStatus, 10s);
  ASSERT_FALSE(stale);
  EXPECT_EQ(stale.error().message, "is sluiced running? nobody listens on " + path.str());
}

TEST(Ask, SaysWhenItIsNotAllowed) {
  const SocketPath path;
  const auto listener = path.listen();
  ASSERT_EQ(::chmod(path.str().c_str(), 0), 0);
  const bool root = ::geteuid() == 0;
  if (root) {
    ASSERT_EQ(::seteuid(65534), 0);
  }
  const auto reply = ask(path.str(), kStatus, 10s);
  if (root) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, Errc::denied);
  EXPECT_THAT(reply.error().message, HasSubstr("permission denied on " + path.str()));
}

TEST(Ask, SaysWhenThePathCannotBeASocketOfOurs) {
  EXPECT_THAT(ask("", kStatus, 10s).error().message, HasSubstr("is empty"));
  EXPECT_THAT(ask(std::string(200, 'x'), kStatus, 10s).error().message, HasSubstr("too long"));
  const SocketPath path;
  const auto stream = path.listen(SOCK_STREAM);
  EXPECT_THAT(ask(path.str(), kStatus, 10s).error().message,
              HasSubstr("is not the control socket of sluiced"));
}

TEST(Ask, DoesNotWaitForEver) {
  const SocketPath path;
  const auto hangs = path.listen();  // and never accepts
  const auto reply = ask(path.str(), kStatus, 20ms);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, Errc::unavailable);
  EXPECT_EQ(reply.error().message, "sluiced does not answer on " + path.str() + " (waited 1 s)");
}

TEST(Ask, DoesNotWaitForEverForAPlaceInTheQueue) {
  const SocketPath path;
  const auto hangs = path.listen();
  std::vector<UniqueFd> waiting;
  for (;;) {  // fill the listener's queue
    UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.str().copy(address.sun_path, sizeof address.sun_path - 1);
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) break;
    waiting.push_back(std::move(fd));
  }
  EXPECT_THAT(ask(path.str(), kStatus, 20ms).error().message, HasSubstr("does not answer"));
}

TEST(Ask, SaysWhenTheDaemonLeaves) {
  const std::string left = "sluiced closed the connection without an answer; its log says why";
  EXPECT_EQ(error_from([](ipc::Channel&) {}).message, left);
  EXPECT_EQ(error_from([](ipc::Channel& client) {
              FakeMaster::next<ipc::Hello>(client);
              EXPECT_TRUE(client.send(FakeMaster::hello()));
            }).message,
            left);
}

TEST(Ask, HearsARefusalThatComesInsteadOfAGreeting) {
  const FakeMaster master([](ipc::Channel& client) {  // our Hello is never read: ECONNRESET first
    pollfd ready{client.fd(), POLLIN, 0};
    ::poll(&ready, 1, -1);
    EXPECT_TRUE(client.send(ipc::ControlReply{.error = "uid 1000 may not do that"}));
  });
  const auto reply = ask(master.path(), kStatus, 10s);
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->error, "uid 1000 may not do that");
}

TEST(Ask, RefusesAPeerItDoesNotUnderstand) {
  auto other_release = FakeMaster::hello();
  other_release.protocol = ipc::kProtocolVersion + 1;
  EXPECT_THAT(error_from([&](ipc::Channel& client) {
                FakeMaster::next<ipc::Hello>(client);
                EXPECT_TRUE(client.send(other_release));
              }).message,
              HasSubstr("the running sluiced is release 9.9.9"));

  auto worker = FakeMaster::hello();
  worker.role = ipc::Role::worker;
  EXPECT_THAT(error_from([&](ipc::Channel& client) { EXPECT_TRUE(client.send(worker)); }).message,
              HasSubstr("it is a worker"));

  // No header, unknown flags, a malformed Hello, an unknown message.
  for (const auto& garbage :
       {"x"s, "\x01\x00\x09\x00"s, "\x01\x00\x00\x00\x01\xff"s, "\x63\x00\x00\x00"s})
    EXPECT_EQ(error_from([&](ipc::Channel& client) {
                ::send(client.fd(), garbage.data(), garbage.size(), MSG_NOSIGNAL);
              }).code,
              Errc::ipc_protocol);
}

}  // namespace
}  // namespace sluice::ctl
