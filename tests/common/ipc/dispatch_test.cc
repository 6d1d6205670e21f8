#include "common/ipc/dispatch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace sluice::ipc {
namespace {

using testing::HasSubstr;

struct Peer {
  std::vector<uint64_t> pings;
  std::size_t fds = 0;
  Result<> on_ping(Ping m) {
    pings.push_back(m.number);
    if (m.number == 13) return fail(Errc::denied, "unlucky");
    return {};
  }
  Result<> on_listener(Listener, std::vector<UniqueFd> got) {
    fds = got.size();
    return {};
  }
};
constexpr Handler<Peer> kTable[] = {on<&Peer::on_ping>(), on<&Peer::on_listener>()};

class DispatchTest : public testing::Test {
 protected:
  Peer peer;
  std::string refused(Role sender, Phase phase, Frame frame) {
    const auto result = dispatch<Peer>(peer, kTable, sender, phase, std::move(frame));
    if (result) return "taken";
    EXPECT_EQ(result.error().code, Errc::ipc_protocol);
    return result.error().message;
  }
  static Frame ping(uint64_t number = 1) { return {Declared<Ping>::kId, encode(Ping{number}), {}}; }
};

TEST_F(DispatchTest, TakesWhatIsLegal) {
  EXPECT_TRUE(dispatch<Peer>(peer, kTable, Role::master, kServing, ping(5)));
  EXPECT_EQ(peer.pings, std::vector<uint64_t>{5});
  Frame listener{Declared<Listener>::kId, encode(Listener{}), {}};
  listener.fds.emplace_back(::dup(0));
  EXPECT_TRUE(dispatch<Peer>(peer, kTable, Role::master, kServing, std::move(listener)));
  EXPECT_EQ(peer.fds, 1u);
}

TEST_F(DispatchTest, RefusesWhatIsNot) {
  EXPECT_THAT(refused(Role::master, kServing, {999, {}, {}}), HasSubstr("unknown message id 999"));
  EXPECT_THAT(refused(Role::master, kGreeting, ping()), HasSubstr("Ping out of phase"));
  EXPECT_THAT(refused(Role::worker, kServing, ping()), HasSubstr("Ping is not its to send"));
  auto with_fd = ping();
  with_fd.fds.emplace_back(::dup(0));
  EXPECT_THAT(refused(Role::master, kServing, std::move(with_fd)), HasSubstr("Ping: 1 fds"));
  EXPECT_THAT(refused(Role::master, kServing, {Declared<Listener>::kId, encode(Listener{}), {}}),
              HasSubstr("0 fds"));
  EXPECT_THAT(
      refused(Role::master, kServing, {Declared<Ping>::kId, Bytes{std::byte{1}, std::byte{9}}, {}}),
      HasSubstr("Ping: malformed"));
  EXPECT_TRUE(peer.pings.empty());
}

/// Every message there is, from everybody, in every phase, without fds and with too many: a handler
/// is reached only as the list of messages says.
TEST_F(DispatchTest, OfAllMessagesOnlyTheLegalOnesAreHeard) {
  constexpr auto kRow = []<class Message>() {
    using D = Declared<Message>;
    return Handler<Peer>{
        D::kId,     D::kName,
        D::kSender, D::kPhases,
        D::kFds,    [](Peer&, Frame) -> Result<> { return fail(Errc::denied, "reached"); }};
  };
#define SLUICE_DISPATCH_ROW(id, message, from, to, when, fds) kRow.operator()<message>(),
  const std::vector<Handler<Peer>> all{SLUICE_IPC_MESSAGES(SLUICE_DISPATCH_ROW)};
#undef SLUICE_DISPATCH_ROW
  for (const auto& row : all)
    for (const Role sender : {Role::master, Role::worker, Role::monitor, Role::parser})
      for (const Phase phase : {kGreeting, kStarting, kServing, kDraining})
        for (const std::size_t fds : {std::size_t{0}, row.fds.most, row.fds.most + 1}) {
          Frame frame{row.id, {}, {}};
          for (std::size_t i = 0; i < fds; ++i) frame.fds.emplace_back(::dup(0));
          const auto result = dispatch<Peer>(peer, all, sender, phase, std::move(frame));
          const bool legal =
              (row.senders & party(sender)) && (row.phases & phase) && row.fds.holds(fds);
          ASSERT_FALSE(result);
          EXPECT_EQ(result.error().code, legal ? Errc::denied : Errc::ipc_protocol) << row.name;
        }
}

TEST_F(DispatchTest, AHandlersErrorIsItsOwn) {
  const auto result = dispatch<Peer>(peer, kTable, Role::master, kServing, ping(13));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::denied);
}

}  // namespace
}  // namespace sluice::ipc
