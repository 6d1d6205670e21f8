// A worker or monitor that was taken over: it greets its master as a good one does, then breaks the
// rules of the channel in the way that the file `sluice-worker.mode` or `sluice-monitor.mode`
// beside it names. While there is no such file it becomes the program `good-worker` or
// `good-monitor` beside it, so a test can start with a sluice that works. Run by
// tests/e2e/fault_test.cc.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <optional>
#include <string>

#include "tests/support/captured_child.h"

namespace sluice {
namespace {

using ipc::Channel;
using test::say;
using test::wait_for;

constexpr int kChannelFd = 3;  // common/process/master_link.h
constexpr int kFloodRecords = 200'000;

void tell_name(Channel& channel, ByteSpan body) {
  if (const auto resolved = ipc::decode<ipc::NameResolved>(body))
    say(channel, ipc::LogRecord{log::Level::error, "rogue",
                                resolved->ip + " is " + log::quoted(resolved->name)});
}

/// Somebody has sent a KILL: answers for others and more than once, with what is not so, and has
/// sessions killed that nobody has killed.
void lie_about_sessions(Channel& channel, ByteSpan body) {
  const auto sought = ipc::decode<ipc::SeekSession>(body);
  if (!sought) return;
  ipc::FoundSession lie{sought->worker, sought->session, sought->round + 1, true, "db1", 1};
  say(channel, lie);
  lie.round = sought->round;
  lie.worker = 77;
  say(channel, lie);
  lie.worker = sought->worker;
  for (uint32_t id = 1; id < 100; ++id)
    say(channel, ipc::SeekSession{0, 1, id, sought->cluster, sought->server, id, true});
  say(channel, ipc::SeekSession{.session = 1, .cluster = std::string(100'000, 'x')});
  say(channel, lie);
  lie.server = std::string(100'000, 'x');
  say(channel, lie);
  say(channel, ipc::LogRecord{log::Level::error, "rogue", "lied"});
}

void send_raw(const Channel& channel, std::string_view bytes) {
  (void)!::send(channel.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

Bytes garbage() {
  Bytes bytes;
  ByteWriter out(bytes);
  for (int i = 0; i < 64; ++i)
    out.fixed<uint64_t>(0x9E3779B97F4A7C15u * static_cast<uint64_t>(i + 1));
  return bytes;
}

ipc::LogRecord record_of(std::string text) {
  return {log::Level::error, "rogue", std::move(text)};
}

ipc::Role role = ipc::Role::worker;  ///< in whose place it is

/// What a rogue does with sessions, by its mode.
std::string mode_of_handoff;

std::optional<ipc::Frame> next(Channel& channel) {
  for (;;) {
    auto frame = channel.receive();
    if (!frame) return std::nullopt;
    if (*frame) return std::move(**frame);
    wait_for(channel, POLLIN);
  }
}

/// Is offered the sessions of a good worker.
void take(Channel giver) {
  const auto& mode = mode_of_handoff;
  if (mode == "TakerDies") ::_exit(0);
  for (int offers = 0; auto frame = next(giver);) {
    const auto offer = ipc::decode<ipc::OfferSession>(frame->body);
    if (frame->id != ipc::Declared<ipc::OfferSession>::kId || !offer) continue;
    if (mode == "TakerDiesAfterOffers" && ++offers == 3) ::_exit(0);
    if (mode == "TakerSaysNothing") continue;
    if (mode == "TakerRefuses")
      say(giver, ipc::SessionTaken{offer->number, "it is not in the mood"});
    if (mode == "TakerAnswersNobody") say(giver, ipc::SessionTaken{offer->number + 1'000'000, ""});
    if (mode == "TakerSendsGarbage") (void)giver.send_frame(34, garbage(), {});
    if (mode == "TakerSpeaksAsGiver") say(giver, ipc::GiveSession{offer->number, true});
  }
}

/// Offers to a good worker what are no sessions.
void give(Channel taker) {
  const auto& mode = mode_of_handoff;
  std::array<int, 3> files;
  files.fill(::open("/dev/null", O_RDONLY));
  ipc::OfferSession offer{
      .number = 1, .version = 1, .legs = {{0, {}}, {1, {}}}, .state = garbage()};
  for (; offer.number < 100; ++offer.number) {
    offer.version = offer.number % 3 == 0 ? 99 : 1;
    offer.legs[0].side = offer.number % 7;
    if (offer.number % 2) offer.state.clear();
    say(taker, offer, std::span(files).first(2));
    say(taker, ipc::GiveSession{offer.number, true});
  }
  say(taker, ipc::GiveSession{12345, true});
  if (mode == "GiverCountsWrong") say(taker, offer, files);
  if (mode == "GiverSendsGarbage") (void)taker.send_frame(33, garbage(), {});
  if (mode == "GiverSpeaksAsMaster") say(taker, ipc::Finish{"rogue", 0});
  while (next(taker)) {
  }
}

/// In a process of its own, which ends with the other side.
void hand_off(Channel& master, ipc::Frame frame) {
  const auto order = ipc::decode<ipc::HandOff>(frame.body);
  if (!order || frame.fds.size() != 1) return;
  say(master, ipc::LogRecord{log::Level::error, "rogue", "hands off"});
  if (::fork() != 0) return;
  ::close(kChannelFd);  // the master is to notice when we are killed
  (order->give ? give : take)(Channel(std::move(frame.fds[0])));
  ::_exit(0);
}

/// Reads what the master sends, for ever or up to the order to start; ends with the master.
void read_on(Channel& channel, bool up_to_start) {
  for (;;) {
    auto frame = test::hear(channel);
    if (up_to_start && frame.id == ipc::Declared<ipc::Start>::kId) return;
    if (frame.id == ipc::Declared<ipc::StopAccepting>::kId) say(channel, ipc::Stopped{});
    if (frame.id == ipc::Declared<ipc::HandOff>::kId)
      hand_off(channel, std::move(frame));
    else if (frame.id == ipc::Declared<ipc::NameResolved>::kId)
      tell_name(channel, frame.body);
    else if (frame.id == ipc::Declared<ipc::SeekSession>::kId)
      lie_about_sessions(channel, frame.body);
  }
}

/// Legal messages, one by one, and many more of them than any good worker has to send.
void flood(Channel& channel) {
  for (int i = 0; i < kFloodRecords; ++i) {
    say(channel, ipc::LogRecord{log::Level::error, "rogue", std::string(200, 'x')});
    say(channel, ipc::RefreshAccounts{"shop"});
    say(channel, ipc::ResolveName{"10.9.9." + std::to_string(i)});
    say(channel, ipc::SeekSession{.session = static_cast<uint64_t>(i),
                                  .cluster = "shop",
                                  .server = "db1",
                                  .connection_id = 1,
                                  .killed = true});
    say(channel, ipc::FoundSession{.worker = 1, .round = 1, .known = true, .server = "db1"});
    say(channel, ipc::Answer{.id = static_cast<uint64_t>(i), .error = "nobody asked"});
  }
}

/// What a worker may not send before it is ready. False when `mode` is none of these.
bool break_rules_at_start(Channel& channel, const std::string& mode) {
  const std::array null{::open("/dev/null", O_RDONLY)};
  if (mode == "Silence") return true;
  if (mode == "NotReady")
    say(channel, ipc::Hello{.role = role});
  else if (mode == "GarbageForAGreeting")
    send_raw(channel, std::string(100, '\xff'));
  else if (mode == "AnotherRole")
    say(channel,
        ipc::Hello{.role = role == ipc::Role::worker ? ipc::Role::monitor : ipc::Role::worker});
  else if (mode == "AnotherProtocol")
    say(channel, ipc::Hello{.protocol = 99, .role = role});
  else if (mode == "GreetingWithFd")
    say(channel, ipc::Hello{.role = role}, null);
  else
    return false;
  return true;
}

/// A number that no other process of this mode has got; they count in a file.
unsigned next_number() {
  for (unsigned i = 0;; ++i)
    if (UniqueFd(::open(fmt::format("{}/taken-{}", test::own_directory(), i).c_str(),
                        O_CREAT | O_EXCL, 0600)))
      return i;
}

/// Of all messages that there are the one with that number in the list: with as many fds as it must
/// not have if we may send it, without a body if we may not.
void send_any(Channel& channel, unsigned number) {
  struct Row {
    uint16_t id;
    bool ours;
    std::size_t most_fds;
  };
  constexpr auto kRow = []<class Message>(uint8_t self) {
    using D = ipc::Declared<Message>;
    return Row{D::kId, (D::kSender & self) && (D::kPhases & ipc::kServing), D::kFds.most};
  };
  const uint8_t self = role == ipc::Role::worker ? ipc::kWorker : ipc::kMonitor;
#define SLUICE_ROGUE_ROW(id, message, from, to, when, fds) kRow.operator()<ipc::message>(self),
  const Row rows[] = {SLUICE_IPC_MESSAGES(SLUICE_ROGUE_ROW)};
#undef SLUICE_ROGUE_ROW
  if (number >= std::size(rows)) return say(channel, record_of("no more of them"));
  const auto& row = rows[number];
  const std::vector<int> fds(row.ours ? row.most_fds + 1 : 0, ::open("/dev/null", O_RDONLY));
  (void)channel.send_frame(row.id, {}, fds);
  say(channel, record_of(fmt::format("survived message {}", row.id)));
}

void break_rules(Channel& channel, const std::string& mode) {
  const std::array null{::open("/dev/null", O_RDONLY)};
  const auto record = ipc::Declared<ipc::LogRecord>::kId;
  if (mode == "TornDatagram")
    send_raw(channel, "x");
  else if (mode == "UnknownMessage")
    (void)channel.send_frame(999, garbage(), {});
  else if (mode == "MalformedBody")
    (void)channel.send_frame(record, garbage(), {});
  else if (mode == "OutOfPhase")
    say(channel, ipc::Stopped{7});
  else if (mode == "ReadyTwice")
    say(channel, ipc::Ready{"twice"});
  else if (mode == "MessageOfTheOther")
    role == ipc::Role::worker ? say(channel, ipc::ClusterUpdate{})
                              : say(channel, ipc::GoneClosed{});
  else if (mode == "MessageOfTheMaster")
    say(channel, ipc::Finish{"rogue", 0});
  else if (mode == "UnwantedFd")
    say(channel, ipc::LogRecord{log::Level::error, "rogue", "x"}, null);
  else if (mode == "ManyFds") {
    std::array<int, 7> many;
    many.fill(null[0]);
    say(channel, ipc::LogRecord{log::Level::error, "rogue", "x"}, many);
  } else if (mode == "AnswerToNoPing")
    say(channel, ipc::Pong{uint64_t{1} << 60});
  else if (mode == "NameOfNoAddress")
    say(channel, ipc::ResolveName{std::string(1000, '1')});
  else if (mode == "NameOfAnAddress")  // which is no offence
    say(channel, ipc::ResolveName{"127.0.0.1"});
  else if (mode == "UnsealedFile") {  // claims that the body is in the file that rides along
    const std::array<char, 4> head{static_cast<char>(record), 0, 1, 0};
    iovec iov{const_cast<char*>(head.data()), head.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr msg{};
    msg.msg_iov = &iov, msg.msg_iovlen = 1;
    msg.msg_control = control.data(), msg.msg_controllen = control.size();
    cmsghdr* head_of = CMSG_FIRSTHDR(&msg);
    head_of->cmsg_level = SOL_SOCKET, head_of->cmsg_type = SCM_RIGHTS;
    head_of->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(head_of), null.data(), sizeof(int));
    (void)!::sendmsg(channel.fd(), &msg, MSG_NOSIGNAL);
  } else if (mode == "OversizedDatagram")
    send_raw(channel, std::string(60'000, '\0'));
  else if (mode == "Flood")
    flood(channel);
  else if (mode == "AnyMessage")
    send_any(channel, next_number());
}

}  // namespace
}  // namespace sluice

int main(int, char** argv) {
  using namespace sluice;
  const auto directory = test::own_directory();
  std::string mode;
  std::ifstream(fmt::format("{}/{}.mode", directory, argv[0])) >> mode;
  // Of the starts from now on only the first is a good one.
  const bool first = mode == "FirstIsGood" &&
                     UniqueFd(::open((directory + "/first").c_str(), O_CREAT | O_EXCL, 0600));
  if (mode.empty() || first) {
    test::become_good(argv);
    return 127;
  }
  if (mode == "FirstIsGood") return 1;
  role = test::role_by_name(argv[0]);
  mode_of_handoff = mode;
  ipc::Channel channel{UniqueFd(kChannelFd)};
  if (!break_rules_at_start(channel, mode)) {
    say(channel, ipc::Hello{.role = role});
    read_on(channel, /*up_to_start=*/true);
    say(channel, ipc::Ready{"nothing at all"});
    break_rules(channel, mode);
  }
  read_on(channel, /*up_to_start=*/false);
}
