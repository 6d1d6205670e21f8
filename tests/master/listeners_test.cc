#include "master/listeners.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>

#include "tests/support/free_port.h"
#include "tests/support/temp_dir.h"

namespace sluice::master {
namespace {

config::Config with(std::vector<config::Endpoint> endpoints) {
  config::Config config;
  config.services.push_back({.name = "shop", .listen = std::move(endpoints)});
  return config;
}

bool connects(const config::Endpoint& to) {
  sockaddr_storage storage{};
  socklen_t size = 0;
  if (to.is_unix()) {
    auto& un = reinterpret_cast<sockaddr_un&>(storage);
    un.sun_family = AF_UNIX;
    to.path.copy(un.sun_path, sizeof un.sun_path - 1);
    size = sizeof un;
  } else {
    auto& in = reinterpret_cast<sockaddr_in&>(storage);
    in.sin_family = AF_INET;
    in.sin_port = htons(to.port);
    ::inet_pton(AF_INET, to.host.c_str(), &in.sin_addr);
    size = sizeof in;
  }
  const UniqueFd fd(::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&storage), size) == 0;
}

class ListenersTest : public testing::Test {
 protected:
  test::TempDir dir;
  config::Endpoint tcp{"127.0.0.1", test::free_port(), ""};
  config::Endpoint other{"127.0.0.1", test::free_port(), ""};
  config::Endpoint path{"", 0, dir / "s"};
  Listeners listeners;

  void TearDown() override { listeners.close_all(); }
  /// The sockets of a slot, listening as its worker has them.
  std::vector<int> sockets(const config::Endpoint& at, std::size_t slot, std::size_t slots) {
    auto all = listeners.sockets_for(at, slot, slots);
    if (at.is_unix()) return all;
    for (const int fd : all) EXPECT_EQ(::listen(fd, 16), 0);
    return all;
  }
};

TEST_F(ListenersTest, ASocketForEachSlotAndOneForAPath) {
  ASSERT_TRUE(listeners.prepare(with({tcp, path}), 3));
  listeners.commit();
  for (std::size_t slot = 0; slot < 3; ++slot) EXPECT_EQ(sockets(tcp, slot, 3).size(), 1u);
  EXPECT_NE(sockets(tcp, 0, 3), sockets(tcp, 1, 3));
  EXPECT_EQ(sockets(path, 0, 3), sockets(path, 2, 3));
  EXPECT_TRUE(connects(tcp));
  EXPECT_TRUE(connects(path));
  EXPECT_TRUE(sockets(other, 0, 3).empty());
}

TEST_F(ListenersTest, WhatIsConfiguredStillKeepsItsSockets) {
  ASSERT_TRUE(listeners.prepare(with({tcp}), 2));
  listeners.commit();
  const auto before = sockets(tcp, 0, 2);
  ASSERT_TRUE(listeners.prepare(with({tcp, other}), 2));
  listeners.commit();
  EXPECT_EQ(sockets(tcp, 0, 2), before);
}

TEST_F(ListenersTest, FewerSlotsServeAllSockets) {
  ASSERT_TRUE(listeners.prepare(with({tcp}), 4));
  listeners.commit();
  EXPECT_EQ(sockets(tcp, 0, 2).size() + sockets(tcp, 1, 2).size(), 4u);
  EXPECT_EQ(sockets(tcp, 0, 1).size(), 4u);
}

TEST_F(ListenersTest, APortInUseIsAnErrorThatNamesIt) {
  Listeners somebody;
  ASSERT_TRUE(somebody.prepare(with({other}), 1));
  for (const int fd : somebody.sockets_for(other, 0, 1)) ASSERT_EQ(::listen(fd, 16), 0);
  const auto result = listeners.prepare(with({tcp, other}), 1);
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find(other.text()), std::string::npos) << result.error().message;
  EXPECT_EQ(result.error().sys_errno, EADDRINUSE);
  listeners.undo();
  EXPECT_TRUE(listeners.all().empty()) << "nothing of the configuration that is not to be";
  EXPECT_TRUE(connects(other));
  somebody.close_all();
}

TEST_F(ListenersTest, UndoLeavesWhatWasInForce) {
  ASSERT_TRUE(listeners.prepare(with({tcp}), 1));
  listeners.commit();
  const auto before = sockets(tcp, 0, 1);
  ASSERT_TRUE(listeners.prepare(with({tcp, other, path}), 3));
  listeners.undo();
  EXPECT_EQ(listeners.all().size(), 1u);
  EXPECT_EQ(sockets(tcp, 0, 1), before);
  EXPECT_FALSE(connects(other));
  EXPECT_FALSE(connects(path));
}

TEST_F(ListenersTest, WhatIsNotWantedIsClosedWithItsFile) {
  ASSERT_TRUE(listeners.prepare(with({tcp, path}), 1));
  listeners.commit();
  sockets(tcp, 0, 1);
  listeners.keep_only(with({tcp}));
  EXPECT_TRUE(connects(tcp));
  struct stat st {};
  EXPECT_NE(::stat(path.path.c_str(), &st), 0);
}

/// What a removed listener owes to who connected in its last moment.
TEST_F(ListenersTest, RefusedAreTheNewOnesNotThoseThatTheKernelHas) {
  ASSERT_TRUE(listeners.prepare(with({tcp, path}), 1));
  listeners.commit();
  const int tcp_socket = sockets(tcp, 0, 1).at(0), unix_socket = sockets(path, 0, 1).at(0);
  ASSERT_TRUE(connects(tcp));
  ASSERT_TRUE(connects(path));
  const auto gone = listeners.gone(with({}));
  ASSERT_EQ(gone.size(), 2u);
  for (const auto* listening : gone) Listeners::refuse_new(*listening);
  EXPECT_FALSE(connects(path));
  EXPECT_FALSE(connects(tcp));
  for (const auto* listening : gone) Listeners::refuse_new(*listening);  // again: changes nothing

  EXPECT_TRUE(UniqueFd(::accept(tcp_socket, nullptr, nullptr)));
  EXPECT_FALSE(UniqueFd(::accept(tcp_socket, nullptr, nullptr))) << "nobody else";
  EXPECT_TRUE(UniqueFd(::accept(unix_socket, nullptr, nullptr)));
}

/// 127.0.0.1:3306 makes room for 0.0.0.0:3306: who comes finds the other one, at once.
TEST_F(ListenersTest, RefusingLetsOthersTakeOver) {
  const config::Endpoint wide{"0.0.0.0", tcp.port, ""};
  ASSERT_TRUE(listeners.prepare(with({tcp, wide}), 2));
  listeners.commit();
  sockets(tcp, 0, 1);
  const auto heirs = sockets(wide, 0, 1);
  const auto gone = listeners.gone(with({wide}));
  ASSERT_EQ(gone.size(), 1u);
  Listeners::refuse_new(*gone[0]);
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(connects(tcp));
  int taken = 0;
  for (const int socket : heirs)
    while (UniqueFd(::accept(socket, nullptr, nullptr))) ++taken;
  EXPECT_EQ(taken, 8);
}

TEST_F(ListenersTest, AFileThatIsNotOursAnyMoreStays) {
  ASSERT_TRUE(listeners.prepare(with({path}), 1));
  listeners.commit();
  ::unlink(path.path.c_str());
  test::write_file(path.path, "somebody else's");
  listeners.close_all();
  EXPECT_EQ(test::read_file(path.path), "somebody else's");
}

TEST_F(ListenersTest, ASocketOfADeadProcessIsReplacedAndALiveOneIsNot) {
  {
    const UniqueFd dead(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un un{};
    un.sun_family = AF_UNIX;
    path.path.copy(un.sun_path, sizeof un.sun_path - 1);
    ASSERT_EQ(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&un), sizeof un), 0);
  }
  ASSERT_TRUE(listeners.prepare(with({path}), 1));
  Listeners second;
  EXPECT_FALSE(second.prepare(with({path}), 1));
  second.undo();
  EXPECT_TRUE(connects(path));
}

TEST_F(ListenersTest, APathHasTheModeOfItsService) {
  auto config = with({path});
  config.services[0].socket_mode = 0600;
  ASSERT_TRUE(listeners.prepare(config, 1));
  listeners.commit();
  struct stat st {};
  ASSERT_EQ(::stat(path.path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777u, 0600u);
}

TEST_F(ListenersTest, AnAddressMayWidenAndNarrow) {
  ASSERT_TRUE(listeners.prepare(with({tcp}), 2));
  listeners.commit();
  sockets(tcp, 0, 2);
  const config::Endpoint wide{"0.0.0.0", tcp.port, ""};
  ASSERT_TRUE(listeners.prepare(with({wide}), 2)) << "both are there for a while";
  listeners.commit();
  listeners.keep_only(with({wide}));
  sockets(wide, 0, 2);
  EXPECT_TRUE(connects(tcp));
  ASSERT_TRUE(listeners.prepare(with({tcp}), 2));
  listeners.commit();
}

}  // namespace
}  // namespace sluice::master
