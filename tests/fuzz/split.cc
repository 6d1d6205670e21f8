// The splitting engine between a client and two servers that do what they like. The input is a list
// of actions: bytes from a side, packets, whole answers, a close, a deadline, a change of the
// cluster, a move to another process, a loan. Whatever comes in whatever order: the client gets
// nothing of an answer to one of sluice's own questions, the session has always something to wait
// for until it is over, it keeps few bytes, and is the same in another process. A connection that
// may be lent is one on which everything was answered, for somebody who has only seen its bytes.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cstdlib>

#include "common/mysql/packets.h"
#include "tests/worker/session/world.h"
#include "worker/split/lending.h"
#include "worker/split/steps.h"

namespace {

using namespace sluice;
using namespace sluice::worker;

void must(bool holds) {
  if (!holds) std::abort();
}

/// Stands in whatever answers an errand, and in nothing else: its first byte comes nowhere else.
constexpr std::string_view kMark = "\x9D not for the client";

class Fuzzed {
 public:
  explicit Fuzzed(FuzzedDataProvider& input) : input_(input) {
    state_.service = world_.service.name;
    state_.client_ip = "127.0.0.1";
    world_.service.router = config::RouterKind::read_write_split;
    world_.service.transaction_replay = true;
    world_.service.pool = input_.ConsumeBool() ? 1 : 0;
    on_accepted(state_, world_.surroundings(), actions_);
    carry_out();
    log_in();
  }

  void run() {
    while (state_.phase != Phase::over && input_.remaining_bytes() > 0) act();
    for (int i = 0; i < 20 && state_.phase != Phase::over; ++i) {
      on_closed(state_, world_.surroundings(), Side::client, actions_);
      carry_out();
    }
    must(state_.phase == Phase::over);
  }

 private:
  struct Seen;
  Seen& seen(Side side) { return seen_[static_cast<std::size_t>(side)]; }
  bool& open(Side side) { return open_[static_cast<std::size_t>(side)]; }

  void log_in() {
    bytes(Side::server, greeting());
    Bytes out;
    auto payload = mysql::encode_handshake_response("app");
    if (input_.ConsumeBool()) payload[3] |= std::byte{1};     // DEPRECATE_EOF
    if (input_.ConsumeBool()) payload[2] |= std::byte{0x80};  // SESSION_TRACK
    mysql::append_packet(out, 1, payload);
    bytes(Side::client, out);
    bytes(Side::server, packet(2, ok()));
  }
  static Bytes greeting() {
    mysql::Greeting greeting;
    greeting.version = "11.4.2-MariaDB";
    greeting.capabilities = ~uint64_t{0} & ~uint64_t{mysql::kLongPassword};
    return packet(0, as_text(mysql::encode_greeting(greeting)));
  }
  static Bytes packet(uint8_t sequence, std::string_view payload) {
    Bytes out;
    mysql::append_packet(out, sequence, as_bytes(payload));
    return out;
  }
  static std::string ok(uint16_t status = mysql::kAutocommit) {
    std::string out("\0\0\0", 3);
    out.push_back(static_cast<char>(status));
    out.push_back(static_cast<char>(status >> 8));
    return out + std::string(2, '\0');
  }

  void act() {
    const Side side = input_.PickValueInArray({Side::client, Side::server, Side::reader});
    switch (input_.ConsumeIntegralInRange(0, 14)) {
      case 0:
        return bytes(side, raw(300));
      case 1:
        return bytes(side, packet(input_.ConsumeIntegralInRange<uint8_t>(0, 4), text(200)));
      case 2:
      case 3:
        return bytes(Side::client, some_command());
      case 4:
      case 5:
      case 6:
        return answers(side);
      case 7:
        return close(side);
      case 8:
        return deadline();
      case 9:
        return view();
      case 10:
        return flush(side);
      case 11:
        return lend(side);
      case 12:
        return serve(side);
      case 13:
        return prepare_to_lend();
      default:
        return move();
    }
  }
  Bytes raw(std::size_t longest) {
    const auto out = text(longest);
    return {as_bytes(out).begin(), as_bytes(out).end()};
  }
  std::string text(std::size_t longest) {
    auto out = input_.ConsumeRandomLengthString(longest);
    std::ranges::replace(out, kMark[0], '\0');
    return out;
  }
  Bytes some_command() {
    Bytes out;
    const int n = input_.ConsumeIntegralInRange(1, 3);
    for (int i = 0; i < n; ++i) {
      const std::string_view kind = input_.PickValueInArray<std::string_view>(
          {"\3SELECT a FROM t", "\3INSERT INTO t VALUES (1)", "\3BEGIN", "\3CALL p()",
           "\3SHOW WARNINGS", "\x16SELECT a FROM t", "\x16UPDATE t SET a = ?", "\x1F", "\2other",
           std::string_view("\x17\1\0\0\0\0\1\0\0\0\0\1\1\0a", 15),
           std::string_view("\x17\1\0\0\0\0\1\0\0\0\0\0a", 13), std::string_view("\x19\1\0\0\0", 5),
           std::string_view("\x18\1\0\0\0\0\0a", 8),
           std::string_view("\x11other\0\0shop\0and more than a head", 32), ""});
      const auto one = packet(0, kind);
      out.insert(out.end(), one.begin(), one.end());
    }
    return out;
  }
  /// What a server says that is asked for something, or is not.
  void answers(Side side) {
    if (side == Side::client || !state_.split) return;
    const auto& link = side == Side::server ? state_.split->home_link : state_.split->reader_link;
    if (link.step == split::Step::connecting) return bytes(side, greeting());
    if (link.step == split::Step::proving) return bytes(side, packet(2, ok()));
    // Where the end of an answer can be told: the error of a preparation is handed on, and what
    // comes behind the one packet that COM_INIT_DB gets may be the answer to the next command.
    const bool errand = !link.errands.empty() && link.received.empty() &&
                        link.own.expect == mysql::Expect::nothing &&
                        link.errands.front() != split::Errand::prepare &&
                        link.errands.front() != split::Errand::database;
    std::string said(errand ? kMark : "for the client");
    if (errand && link.errands.front() == split::Errand::account && input_.ConsumeBool())
      said = split::mark_of(state_, side) + ' ' + said;
    Bytes out;
    switch (input_.ConsumeIntegralInRange(0, 4)) {
      case 0:
        return bytes(side, packet(1, ok(input_.PickValueInArray<uint16_t>({2, 3, 0, 0x0A}))));
      case 1:
        return bytes(side, packet(1, as_text(mysql::encode_error(1146, "42S02", said))));
      case 2:
        for (const auto& part : {packet(1, "\1"), packet(2, "\3def" + said),
                                 packet(3, static_cast<char>(said.size()) + said),
                                 packet(4, std::string("\xFE\0\0\2\0\0\0", 7))})
          out.insert(out.end(), part.begin(), part.end());
        return bytes(side, out);
      case 3:
        return bytes(side, packet(1, '\0' + std::string(1, input_.ConsumeIntegral<char>()) +
                                         std::string(10, '\0')));
      default: {
        std::string news("\0", 1);
        const std::string name = text(20);
        const std::string value = text(20);
        const auto sized = [](const std::string& s) { return static_cast<char>(s.size()) + s; };
        news += sized(sized(name) + sized(value));
        return bytes(side, packet(1, ok(0x4002) + '\0' + sized(news)));
      }
    }
  }

  void bytes(Side side, Bytes all) {
    scratch_ = std::move(all);
    if (!open(side) || scratch_.empty() || !wants_read(state_, side)) return;
    if (seen(side).open) seen(side).conversation.from_server(scratch_);
    on_bytes(state_, world_.surroundings(), side, scratch_, actions_);
    carry_out();
  }
  void look() {
    for (const Side side : {Side::server, Side::reader}) {
      const bool ready =
          state_.split && !state_.login && split::link(state_, side).step == split::Step::ready;
      if (ready && !seen(side).open)
        seen(side).conversation = {.capabilities = state_.conversation.capabilities};
      seen(side).open = ready;
    }
  }
  void close(Side side) {
    if (!open(side)) return;
    open(side) = false;
    on_closed(state_, world_.surroundings(), side, actions_);
    carry_out();
  }
  void deadline() {
    if (deadline_of(state_) == 0) return;
    world_.now_ns = std::max(world_.now_ns, deadline_of(state_));
    on_deadline(state_, world_.surroundings(), actions_);
    carry_out();
  }
  void view() {
    for (std::size_t i = 0; i < 2; ++i)
      world_.server(i).role = input_.PickValueInArray(
          {cluster::Role::none, cluster::Role::primary, cluster::Role::replica});
    on_view(state_, world_.surroundings(), actions_);
    carry_out();
  }
  /// Takes a connection from the session, as a pool would.
  void lend(Side side) {
    if (side == Side::client || world_.service.pool == 0 || !split::may_lend(state_, side)) return;
    must(open(side) && seen(side).open && seen(side).conversation.at_boundary());
    must(state_.conversation.at_boundary() && state_.held.empty());
    split::lend(state_, side);
    open(side) = false;
    must(split::why_kept_by(state_, side).has_value());
    carry_out();
  }
  /// What the pool says to a session that wants a connection.
  void serve(Side side) {
    if (side == Side::client || !std::exchange(wanted_[static_cast<std::size_t>(side)], false))
      return;
    const auto now = world_.surroundings();
    switch (input_.ConsumeIntegralInRange(0, 2)) {
      case 0:
        split::on_granted(state_, now, side, actions_);
        break;
      case 1:
        if (side == Side::reader) split::on_none_lent(state_, now, side, actions_);
        break;
      default: {
        open(side) = true;
        ServerLeg leg{.server = split::leg_of(state_, side).server, .connection_id = 7};
        split::on_lent(state_, now, side, std::move(leg), actions_);
      }
    }
    carry_out();
  }
  void prepare_to_lend() {
    if (world_.service.pool == 0 || split::why_kept_by(state_, Side::server)) return;
    split::prepare_to_lend(state_, actions_);
    carry_out();
  }
  void flush(Side side) {
    if (side == Side::reader && !state_.split) return;
    if (unsent(state_, side).empty()) return;
    unsent(state_, side) = {};
    on_sent(state_, side, actions_);
    carry_out();
  }
  void move() {
    const auto encoded = ipc::encode(state_);
    auto back = ipc::decode<SessionState>(encoded);
    must(back.has_value() && ipc::encode(*back) == encoded);
    state_ = std::move(*back);
  }

  void carry_out() {
    look();
    for (std::size_t i = 0; i < actions_.list().size(); ++i) {
      const Action action = actions_.list()[i];
      switch (action.kind) {
        case Action::Kind::send:
          if (action.side == Side::client)
            must(as_text(action.bytes).find(kMark) == std::string_view::npos);
          if (seen(action.side).open) seen(action.side).conversation.from_client(action.bytes);
          if (open(action.side) && input_.ConsumeBool()) {  // not all is taken
            auto& waiting = unsent(state_, action.side);
            waiting.insert(waiting.end(), action.bytes.begin(), action.bytes.end());
          }
          break;
        case Action::Kind::connect:
          open(action.side) = !input_.ConsumeBool();
          if (!open(action.side))
            on_connect_failed(state_, world_.surroundings(), action.side, "refused", actions_);
          break;
        case Action::Kind::acquire:
          must(state_.split != nullptr);
          wanted_[static_cast<std::size_t>(action.side)] = true;
          break;
        case Action::Kind::close:
          wanted_[static_cast<std::size_t>(action.side)] = false;
          open(action.side) = false;
          if (action.side != Side::reader || state_.split) unsent(state_, action.side) = {};
          break;
        default:
          break;
      }
    }
    actions_.clear();
    keeps_little();
    goes_on();
  }
  void keeps_little() const {
    must(state_.held.size() <= 2 * (1 << 20) && state_.unsent_to_client.size() < 1 << 20);
    if (!state_.split) return;
    for (const auto* link : {&state_.split->home_link, &state_.split->reader_link})
      must(link->received.size() <= 2 * kMaxLoginPacket && link->answer.size() <= 256 * 1024 &&
           link->errands.size() <= 10);
    must(state_.split->settings.list.size() <= 64 &&
         state_.split->now.bytes.size() <= 2 * (1 << 20));
  }
  /// Somebody can always bring it further.
  void goes_on() {
    if (state_.phase == Phase::over || deadline_of(state_) != 0) return;
    bool heard = false;
    for (const Side side : kSides)
      heard |= open(side) && (wants_read(state_, side) || ((side != Side::reader || state_.split) &&
                                                           !unsent(state_, side).empty()));
    must(heard);
    if (!state_.split || state_.phase != Phase::relaying || !state_.split->waiting) return;
    // A command that waits does so for a server that owes something.
    const auto& split = *state_.split;
    const auto owes = [&](const split::Link& link) {
      return !link.errands.empty() ||
             (link.step != split::Step::none && link.step != split::Step::ready);
    };
    must(owes(split.home_link) || owes(split.reader_link));
  }

  FuzzedDataProvider& input_;
  World world_;
  SessionState state_{.id = 1};
  Actions actions_;
  Bytes scratch_;
  std::array<bool, 3> open_{true, true, false};
  std::array<bool, 3> wanted_{};
  /// What passes on a connection to a server, from its login on.
  struct Seen {
    bool open = false;
    mysql::Conversation conversation;
  };
  std::array<Seen, 3> seen_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider input(data, size);
  Fuzzed(input).run();
  return 0;
}
