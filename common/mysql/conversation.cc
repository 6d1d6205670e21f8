#include "common/mysql/conversation.h"

#include <algorithm>

namespace sluice::mysql {
namespace {

constexpr uint8_t kOk = 0x00, kFile = 0xFB, kEof = 0xFE, kErr = 0xFF;
constexpr uint8_t kLastSequence = 0xFF;
/// A COM_STMT_EXECUTE that asks for a cursor, as it is remembered; no client sends this byte.
constexpr uint8_t kExecuteWithCursor = 0x97;

/// The command that a packet begins.
uint8_t command_in(ByteSpan head, uint32_t length) {
  constexpr std::size_t kFlagsAt = kHeaderSize + 1 + 4;
  if (length == 0) return 0;
  const auto command = static_cast<uint8_t>(head[kHeaderSize]);
  const bool asks = command == static_cast<uint8_t>(Command::stmt_execute) &&
                    head.size() > kFlagsAt && head[kFlagsAt] != std::byte{0};
  return asks ? kExecuteWithCursor : command;
}

uint8_t at(ByteSpan bytes, std::size_t i) {
  return static_cast<uint8_t>(bytes[i]);
}

uint16_t two_bytes(ByteSpan bytes, std::size_t i) {
  return static_cast<uint16_t>(at(bytes, i) | at(bytes, i + 1) << 8);
}

uint32_t payload_length(ByteSpan header) {
  return at(header, 0) | at(header, 1) << 8 | at(header, 2) << 16;
}

/// How many bytes from a packet's start must be together before it is looked at.
std::size_t head_wanted(uint32_t length) {
  return kHeaderSize + std::min<std::size_t>(length, PacketCutter::kHead - kHeaderSize);
}

/// An ERR packet that is really MariaDB's progress report: errno 0xFFFF, more follows.
bool is_progress(ByteSpan body) {
  return body.size() >= 3 && at(body, 1) == 0xFF && at(body, 2) == 0xFF;
}

/// What an OK packet (header 0x00 or 0xFE) says or, if it is short, an EOF packet.
struct Ending {
  uint16_t status = 0, warnings = 0;
  bool insert_id = false;
};
Ending ending_of(ByteSpan body, uint32_t length) {
  const auto number = [body](std::size_t i) {
    return body.size() >= i + 2 ? two_bytes(body, i) : uint16_t{0};
  };
  if (length <= 5) return {.status = number(3), .warnings = number(1)};
  ByteReader in(body.subspan(1));
  (void)in.lenenc("affected_rows");
  const bool id = in.lenenc("last_insert_id").value_or(0) != 0;
  const auto status = 1 + in.at();
  return {.status = number(status), .warnings = number(status + 2), .insert_id = id};
}

/// Takes a chunk apart. `stop(rest)` may refuse a packet at its start, whose first bytes are in
/// `rest`; `start(head, length)` sees each other packet once, with its first bytes together.
/// Returns how many bytes were consumed.
template <class Stop, class Start>
std::size_t cut(PacketCutter& state, ByteSpan in, Stop stop, Start start) {
  std::size_t pos = 0;
  while (pos < in.size()) {
    if (state.left > 0) {
      const auto take = std::min<std::size_t>(state.left, in.size() - pos);
      state.left -= static_cast<uint32_t>(take);
      pos += take;
      continue;
    }
    const auto rest = in.subspan(pos);
    if (state.head_size == 0) {
      if (stop(rest)) return pos;
      if (rest.size() >= kHeaderSize) {
        const uint32_t length = payload_length(rest);
        const std::size_t wanted = head_wanted(length);
        if (rest.size() >= wanted) {  // the usual case: looked at where it lies
          start(rest.first(wanted), length);
          const auto whole = std::min<std::size_t>(rest.size(), kHeaderSize + length);
          state.left = static_cast<uint32_t>(kHeaderSize + length - whole);
          pos += whole;
          continue;
        }
      }
    }
    state.head[state.head_size++] = rest[0];
    ++pos;
    if (state.head_size < kHeaderSize) continue;
    const uint32_t length = payload_length(state.head);
    if (state.head_size < head_wanted(length)) continue;
    const auto size = std::exchange(state.head_size, 0);
    state.left = length - static_cast<uint32_t>(size - kHeaderSize);
    start(ByteSpan(state.head).first(size), length);
  }
  return pos;
}

}  // namespace

/// A command begins at sequence 0; so does the 257th packet of a file that is being sent.
bool Conversation::is_command(ByteSpan header) const {
  return !client.continuation && expect != Expect::file && at(header, 3) == 0 &&
         client_sequence != kLastSequence;
}

bool Conversation::streams() const {
  const auto its = static_cast<Command>(command);
  return its == Command::binlog_dump || its == Command::binlog_dump_gtid ||
         its == Command::table_dump;
}

std::size_t Conversation::from_client(ByteSpan bytes) {
  const auto stop = [this](ByteSpan rest) {
    if (rest.size() < kHeaderSize) return !client.continuation && expect != Expect::file;
    if (!is_command(rest) || payload_length(rest) == 0) return false;
    return rest.size() == kHeaderSize ||
           at(rest, kHeaderSize) == static_cast<uint8_t>(Command::change_user);
  };
  return cut(client, bytes, stop,
             [this](ByteSpan head, uint32_t length) { client_packet(head, length); });
}

std::size_t Conversation::one_command(ByteSpan bytes) {
  bool begun = expect != Expect::nothing || !between_client_packets();
  const auto stop = [&](ByteSpan rest) {
    if (rest.size() < kHeaderSize) return false;
    return is_command(rest) && std::exchange(begun, true);
  };
  return cut(client, bytes, stop,
             [this](ByteSpan head, uint32_t length) { client_packet(head, length); });
}

void Conversation::sent(Command sent_command) {
  ++commands;
  begin(static_cast<uint8_t>(sent_command));
}

void Conversation::take_back() {
  expect = Expect::nothing;
  server = {};
  --commands;
}

/// Whether a packet of an answer, of which there are at least its first bytes, tells more than its
/// kind.
bool Conversation::must_be_whole(ByteSpan packet, uint32_t length) const {
  constexpr uint32_t kLongest = 64 * 1024;  // of an error or an OK
  if (length == 0 || length > kLongest || server.continuation) return false;
  const uint8_t first = at(packet, kHeaderSize);
  if (expect == Expect::rows) return first == kErr || first == kEof;
  const bool may_be_eof = command == static_cast<uint8_t>(Command::set_option);
  return first == kErr || first == kOk || (may_be_eof && first == kEof);
}

Walk Conversation::walk(ByteSpan bytes) {
  auto why = Walk::Why::all;
  const auto stop = [&](ByteSpan rest) {
    if (expect == Expect::nothing) {
      why = Walk::Why::answered;
      return true;
    }
    const auto length = rest.size() < kHeaderSize ? kMaxPayload : payload_length(rest);
    if (rest.size() < head_wanted(length)) {
      why = Walk::Why::incomplete;
      return true;
    }
    if (!must_be_whole(rest, length)) return false;
    const auto packet = rest.first(std::min<std::size_t>(rest.size(), kHeaderSize + length));
    const auto body = packet.subspan(kHeaderSize);
    if (at(body, 0) != kErr && (expect == Expect::first || expect == Expect::rows) &&
        command != static_cast<uint8_t>(Command::stmt_prepare) && length > 5 &&
        (ending_of(body, length).status & kSessionStateChanged))
      why = Walk::Why::session_state;
    if (packet.size() < kHeaderSize + length) why = Walk::Why::incomplete;
    return why != Walk::Why::all;
  };
  const auto taken = cut(server, bytes, stop,
                         [this](ByteSpan head, uint32_t length) { answer_packet(head, length); });
  if (taken == bytes.size() && expect == Expect::nothing && between_server_packets())
    why = Walk::Why::answered;
  return {taken, why};
}

void Conversation::client_packet(ByteSpan head, uint32_t length) {
  if (is_command(head))
    client_command(command_in(head, length));
  else if (pending_count == 0)
    server_sequence = at(head, 3);  // part of what is being answered
  client_sequence = at(head, 3);
  const bool continued = std::exchange(client.continuation, length == kMaxPayload);
  if (expect != Expect::file || length != 0 || continued) return;
  // The file's end, whatever its number: what follows is a command again.
  expect = Expect::first;
  client_sequence = 0;
}

void Conversation::from_server(ByteSpan bytes) {
  const auto never = [](ByteSpan) { return false; };
  cut(server, bytes, never,
      [this](ByteSpan head, uint32_t length) { answer_packet(head, length); });
}

void Conversation::answer_packet(ByteSpan head, uint32_t length) {
  const bool continued = std::exchange(server.continuation, length == kMaxPayload);
  server_sequence = at(head, 3);
  if (continued) return;
  if (expect == Expect::rows && length > 0) {  // most packets there are: nothing to look at
    const uint8_t first = at(head, kHeaderSize);
    if (first != kEof && first != kErr) return;
  }
  server_packet(head.subspan(kHeaderSize), length);
}

void Conversation::client_command(uint8_t command_byte) {
  ++commands;
  if (expect == Expect::nothing) return begin(command_byte);
  if (expect == Expect::endless) return;
  if (pending_count == kMaxPending) {  // more in flight than we follow
    expect = Expect::endless;
    return;
  }
  pending[pending_count++] = static_cast<std::byte>(command_byte);
}

void Conversation::begin(uint8_t command_byte) {
  cursor = command_byte == kExecuteWithCursor;
  command = cursor ? static_cast<uint8_t>(Command::stmt_execute) : command_byte;
  server_sequence = 0;
  error = 0;
  warnings = 0;
  rows = columns = insert_id = false;
  switch (static_cast<Command>(command)) {
    case Command::quit:
    case Command::stmt_close:
    case Command::stmt_send_long_data:
      return;  // never answered
    case Command::binlog_dump:
    case Command::binlog_dump_gtid:
    case Command::table_dump:
      expect = Expect::endless;  // unless it is an error
      return;
    case Command::stmt_fetch:
    case Command::field_list:
      expect = Expect::rows;
      return;
    default:
      expect = Expect::first;
      return;
  }
}

void Conversation::answered() {
  expect = Expect::nothing;
  while (expect == Expect::nothing && pending_count > 0) {
    const auto next = static_cast<uint8_t>(pending[0]);
    std::copy(pending.begin() + 1, pending.begin() + pending_count, pending.begin());
    --pending_count;
    begin(next);
  }
}

void Conversation::server_packet(ByteSpan body, uint32_t length) {
  const uint8_t first = body.empty() ? kOk : at(body, 0);
  if (first == kErr && expect != Expect::nothing && (expect != Expect::endless || streams())) {
    if (is_progress(body)) return;
    error = kUnknownError;
    if (body.size() >= 3) error = static_cast<uint16_t>(at(body, 1) | at(body, 2) << 8);
    return answered();  // an error may stand in place of anything
  }
  switch (expect) {
    case Expect::nothing:  // unsolicited: the server is about to close
    case Expect::endless:
      return;
    case Expect::file:
    case Expect::first:
      return first_packet(body, length);
    case Expect::columns:
    case Expect::parameters:
      if (--columns_left > 0) return;
      if (capabilities & kDeprecateEof) return definitions_end(0);
      expect = expect == Expect::columns ? Expect::columns_end : Expect::parameters_end;
      return;
    case Expect::columns_end:
      expect = Expect::columns;
      return definitions_end(body.empty() ? 0 : ending_of(body, length).status);
    case Expect::parameters_end:
      expect = Expect::parameters;
      return definitions_end(0);
    case Expect::rows:
      if (first == kEof && length < (capabilities & kDeprecateEof ? kMaxPayload : 9))
        result_end(body, length);
      return;
  }
}

void Conversation::first_packet(ByteSpan body, uint32_t length) {
  if (body.empty()) return answered();
  const uint8_t first = at(body, 0);
  switch (static_cast<Command>(command)) {
    case Command::stmt_prepare:
      return first == kOk ? prepared(body) : answered();
    case Command::query:
    case Command::stmt_execute:
    case Command::stmt_bulk_execute:
    case Command::process_info:
      break;
    default:  // one packet, whatever it is
      if (first == kOk) take_ending(body, length);
      return answered();
  }
  constexpr uint32_t kShortestOk = 7;
  if ((first == kOk && length >= kShortestOk) || (first == kEof && length < 9))
    return result_end(body, length);
  if (first == kFile) {
    expect = Expect::file;
    return;
  }
  column_count(body);
}

/// A result set: how many columns, and whether their definitions follow. MariaDB puts a byte behind
/// the count (CACHE_METADATA), MySQL one in front of it (OPTIONAL_RESULTSET_METADATA).
void Conversation::column_count(ByteSpan body) {
  ByteReader in(body);
  bool definitions = true;
  if (capabilities & kOptionalResultsetMetadata)
    definitions = in.fixed<uint8_t>("metadata_follows").value_or(1) != 0;
  const auto count = in.lenenc("column_count");
  if (!count || *count == 0 || *count > UINT16_MAX) {
    expect = Expect::endless;  // no answer that we know
    return;
  }
  if (capabilities & kMariadbCacheMetadata)
    definitions = in.fixed<uint8_t>("metadata_follows").value_or(1) != 0;
  columns_left = static_cast<uint32_t>(*count);
  rows = true;
  columns |= definitions;
  if (definitions)
    expect = Expect::columns;
  else
    expect = capabilities & kDeprecateEof ? Expect::rows : Expect::columns_end;
}

void Conversation::prepared(ByteSpan body) {
  ByteReader in(body);
  (void)in.bytes(5, "statement_id");
  const auto columns = in.fixed<uint16_t>("columns").value_or(0);
  const auto parameters = in.fixed<uint16_t>("parameters").value_or(0);
  (void)in.bytes(3, "warnings");
  if ((capabilities & kOptionalResultsetMetadata) &&
      in.fixed<uint8_t>("metadata_follows").value_or(1) == 0)
    return answered();
  columns_left = parameters > 0 ? parameters : columns;
  columns_next = parameters > 0 ? columns : 0;
  if (columns_left == 0) return answered();
  expect = Expect::parameters;
}

/// All definitions of a group were sent; `flags` of the EOF behind them, if there was one.
void Conversation::definitions_end(uint16_t flags) {
  if (expect == Expect::columns) {
    // The rows come with COM_STMT_FETCH. A procedure's own cursor sets the flag, too.
    if (cursor && (flags & kCursorExists)) {
      status = flags;
      return answered();
    }
    expect = Expect::rows;
    return;
  }
  columns_left = std::exchange(columns_next, 0);
  if (columns_left == 0) answered();
}

void Conversation::take_ending(ByteSpan body, uint32_t length) {
  const auto ending = ending_of(body, length);
  status = ending.status;
  warnings = ending.warnings;
  insert_id |= ending.insert_id;
}

void Conversation::result_end(ByteSpan body, uint32_t length) {
  take_ending(body, length);
  if (status & kMoreResults)
    expect = Expect::first;
  else
    answered();
}

static_assert(ipc::complete<Conversation>());

}  // namespace sluice::mysql
