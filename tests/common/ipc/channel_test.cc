#include "common/ipc/channel.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

namespace sluice::ipc {
namespace {

class ChannelTest : public testing::Test {
 protected:
  std::pair<UniqueFd, UniqueFd> ends = std::move(*Channel::pair());
  Channel here{std::move(ends.first)}, there{std::move(ends.second)};

  Frame received() {
    auto frame = there.receive();
    EXPECT_TRUE(frame && *frame);
    return frame && *frame ? std::move(**frame) : Frame{};
  }
  /// Past the channel: bytes and fds as a peer that breaks the rules would send them.
  void send_raw(std::string_view bytes, std::vector<int> fds = {}) {
    iovec iov{const_cast<char*>(bytes.data()), bytes.size()};
    msghdr msg{};
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(64 * sizeof(int))] = {};
    if (!fds.empty()) {
      const auto size = fds.size() * sizeof(int);
      msg.msg_control = control;
      msg.msg_controllen = CMSG_SPACE(size);
      cmsghdr* head = CMSG_FIRSTHDR(&msg);
      head->cmsg_level = SOL_SOCKET;
      head->cmsg_type = SCM_RIGHTS;
      head->cmsg_len = CMSG_LEN(size);
      std::copy_n(reinterpret_cast<const char*>(fds.data()), size,
                  reinterpret_cast<char*>(CMSG_DATA(head)));
    }
    ASSERT_GE(::sendmsg(here.fd(), &msg, MSG_NOSIGNAL), 0) << strerror(errno);
  }
  void expect_refused() {
    const auto frame = there.receive();
    ASSERT_FALSE(frame);
    EXPECT_EQ(frame.error().code, Errc::ipc_protocol) << frame.error().message;
  }
};

std::size_t open_fds() {
  std::size_t n = 0;
  for (int fd = 0; fd < 1024; ++fd) n += ::fcntl(fd, F_GETFD) >= 0;
  return n;
}

TEST_F(ChannelTest, NothingIsNoError) {
  const auto frame = there.receive();
  ASSERT_TRUE(frame);
  EXPECT_FALSE(*frame);
}

TEST_F(ChannelTest, MessagesArriveWholeAndInOrder) {
  for (uint64_t i = 0; i < 20; ++i) ASSERT_TRUE(here.send(Ping{i}));
  for (uint64_t i = 0; i < 20; ++i) {
    const auto frame = received();
    EXPECT_EQ(frame.id, Declared<Ping>::kId);
    EXPECT_EQ(decode<Ping>(frame.body)->number, i);
  }
}

TEST_F(ChannelTest, FdsRideAlong) {
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  UniqueFd in(pipe[0]), out(pipe[1]);
  ASSERT_TRUE(here.send(Listener{.service = "shop"}, std::array{out.get()}));
  auto frame = received();
  ASSERT_EQ(frame.fds.size(), 1u);
  EXPECT_TRUE(::fcntl(frame.fds[0].get(), F_GETFD) & FD_CLOEXEC);
  EXPECT_EQ(::write(frame.fds[0].get(), "x", 1), 1);
  char byte = 0;
  EXPECT_EQ(::read(in.get(), &byte, 1), 1);
  EXPECT_EQ(byte, 'x');
}

TEST_F(ChannelTest, LargeMessagesAreTheSame) {
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  UniqueFd in(pipe[0]), out(pipe[1]);
  for (const std::size_t size : {Channel::kMaxDatagram - 20, Channel::kMaxDatagram,
                                 Channel::kMaxDatagram + 1, std::size_t{5'000'000}}) {
    ASSERT_TRUE(here.send(Listener{.service = std::string(size, 'x')}, std::array{out.get()}));
    auto frame = received();
    EXPECT_EQ(decode<Listener>(frame.body)->service.size(), size);
    EXPECT_EQ(frame.fds.size(), 1u) << "its own fds only, whatever the body travelled in";
  }
}

TEST_F(ChannelTest, WhatIsTooLargeIsRefusedByTheSender) {
  EXPECT_FALSE(here.send_frame(1, Bytes(Channel::kMaxMessage + 1), {}));
  const std::vector<int> fds(8, 0);
  EXPECT_FALSE(here.send_frame(1, {}, fds));
}

TEST_F(ChannelTest, AQueueKeepsOrderAndFdsAndHasABound) {
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  UniqueFd in(pipe[0]), out(pipe[1]);
  uint64_t sent = 0;
  while (here.send(Ping{sent}) && sent < 20'000) ++sent;
  EXPECT_TRUE(here.wants_write());
  EXPECT_GE(sent, Channel::kMaxQueue);
  EXPECT_LT(sent, 20'000u) << "a peer that does not read must be noticed";
  uint64_t got = 0;
  for (;;) {
    const auto frame = there.receive();
    ASSERT_TRUE(frame);
    if (!*frame) {
      if (!here.wants_write()) break;
      ASSERT_TRUE(here.flush());
      continue;
    }
    EXPECT_EQ(decode<Ping>((*frame)->body)->number, got++);
  }
  EXPECT_EQ(got, sent);
}

TEST_F(ChannelTest, QueuedFdsAreTheQueuesOwn) {
  while (!here.wants_write()) ASSERT_TRUE(here.send(Ping{}));
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  UniqueFd in(pipe[0]), out(pipe[1]);
  ASSERT_TRUE(here.send(Listener{}, std::array{out.get()}));
  out.reset();
  for (;;) {
    auto frame = there.receive();
    ASSERT_TRUE(frame);
    if (!*frame) {
      ASSERT_TRUE(here.flush());
      continue;
    }
    if ((*frame)->id != Declared<Listener>::kId) continue;
    EXPECT_EQ(::write((*frame)->fds.at(0).get(), "x", 1), 1);
    return;
  }
}

TEST_F(ChannelTest, APeerThatLeftIsUnavailableAfterItsLastMessage) {
  ASSERT_TRUE(there.send(Ping{1}));  // unread: the kernel reports a reset to the other end
  ASSERT_TRUE(here.send(Ping{2}));
  { const Channel gone(std::move(here)); }
  EXPECT_EQ(decode<Ping>(received().body)->number, 2u);
  const auto end = there.receive();
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, Errc::unavailable);
  EXPECT_FALSE(there.send(Ping{}));
}

TEST_F(ChannelTest, GarbageIsRefusedAndLeaksNoFd) {
  using namespace std::string_view_literals;
  const auto before = open_fds();
  for (const auto bytes :
       {"x"sv, "abc"sv, "\1\0\2\0"sv, "\1\0\1\0"sv, "\1\0\1\0body"sv, "\1\0\xFF\xFF"sv}) {
    send_raw(bytes);
    expect_refused();
    send_raw(bytes, {0, 1, 2});
    expect_refused();
  }
  send_raw(std::string(Channel::kMaxDatagram + 5, 'x'));
  expect_refused();
  send_raw("\1\0\0\0"sv, std::vector<int>(20, 0));  // more fds than any message has
  EXPECT_TRUE(received().fds_lost);
  EXPECT_EQ(open_fds(), before);
}

TEST_F(ChannelTest, ASpilledBodyMustBeSealed) {
  using namespace std::string_view_literals;
  const UniqueFd plain(::memfd_create("plain", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::write(plain.get(), "body", 4), 4);
  send_raw("\1\0\1\0"sv, {plain.get()});
  expect_refused();
  ASSERT_EQ(::fcntl(plain.get(), F_ADD_SEALS, F_SEAL_SHRINK), 0);
  send_raw("\1\0\1\0"sv, {plain.get()});
  expect_refused();
  const auto good = sealed_memfd("good", as_bytes("body"));
  send_raw("\1\0\1\0"sv, {good->get()});
  EXPECT_EQ(as_text(received().body), "body");
}

TEST(SealedMap, RefusesWhatCouldChangeAndWhatIsTooLarge) {
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  UniqueFd in(pipe[0]), out(pipe[1]);
  EXPECT_FALSE(SealedMap::map(in.get(), 100));
  const auto file = sealed_memfd("file", Bytes(101, std::byte{5}));
  ASSERT_TRUE(file);
  EXPECT_FALSE(SealedMap::map(file->get(), 100));
  const auto map = SealedMap::map(file->get(), 101);
  ASSERT_TRUE(map);
  EXPECT_EQ(map->bytes().size(), 101u);
  EXPECT_LT(::write(file->get(), "x", 1), 0) << "sealed";
  EXPECT_NE(::ftruncate(file->get(), 0), 0) << "sealed";
  const auto empty = sealed_memfd("empty", {});
  EXPECT_TRUE(SealedMap::map(empty->get(), 100)->bytes().empty());
}

}  // namespace
}  // namespace sluice::ipc
