#include "worker/split/prepared.h"

#include <algorithm>

#include "worker/session/steps.h"

namespace sluice::worker::split {

using mysql::Command;
using mysql::kHeaderSize;

namespace {

constexpr std::size_t kIdAt = kHeaderSize + 1;
constexpr uint32_t kLast = 0xFFFFFFFF;  ///< the statement that was prepared last (MariaDB)

void put(Bytes& packet, std::size_t at, uint32_t value, std::size_t width) {
  for (std::size_t i = 0; i < width; ++i) packet[at + i] = static_cast<std::byte>(value >> (8 * i));
}

bool is_eof(ByteSpan payload) {
  return !payload.empty() && payload.size() < 9 && payload[0] == std::byte{0xFE};
}

ByteSpan execution_with(Statement& statement, uint32_t id, bool& has_types, ByteSpan command,
                        Actions& out) {
  constexpr std::size_t kBitmapAt = kIdAt + 4 + 1 + 4;
  const std::size_t bound_at = kBitmapAt + (statement.parameters + 7U) / 8;
  const std::size_t types = 2U * statement.parameters;
  bool insert = false;
  if (statement.parameters > 0) {
    if (command.size() <= bound_at) return {};
    if (command[bound_at] == std::byte{1}) {
      if (command.size() < bound_at + 1 + types) return {};
      const auto sent = command.subspan(bound_at + 1, types);
      statement.types.assign(sent.begin(), sent.end());
      statement.home_has_types = statement.reader_has_types = false;
    } else if (!has_types) {
      if (statement.types.size() != types) return {};
      insert = true;
    }
    has_types = true;
  }
  if (!insert) return with_id(command, id, out);
  Bytes& patched = out.make();
  patched.assign(command.begin(), command.end());
  put(patched, kIdAt, id, 4);
  patched[bound_at] = std::byte{1};
  patched.insert(patched.begin() + static_cast<std::ptrdiff_t>(bound_at + 1),
                 statement.types.begin(), statement.types.end());
  put(patched, 0, static_cast<uint32_t>(patched.size() - kHeaderSize), 3);
  return patched;
}

}  // namespace

uint32_t id_in(ByteSpan command) {
  return ByteReader(command.subspan(kIdAt)).fixed<uint32_t>("id").value_or(0);
}

bool names_statement(Command kind) {
  return kind == Command::stmt_execute || kind == Command::stmt_send_long_data ||
         kind == Command::stmt_close || kind == Command::stmt_reset ||
         kind == Command::stmt_fetch || kind == Command::stmt_bulk_execute;
}

ByteSpan unknown_at_home(const Split& split, ByteSpan command, Actions& out) {
  constexpr uint32_t kNobodys = 0x7FFFFFFF;
  const auto id = id_in(command);
  // Only at a later home has sluice prepared anything itself, after what the client did.
  const bool another = id == kLast ? split.greeting_gone
                                   : std::ranges::find(split.statements, id, &Statement::home_id) !=
                                         split.statements.end();
  return another && command.size() >= kIdAt + 4 ? with_id(command, kNobodys, out) : command;
}

uint32_t new_id(Split& split, uint32_t home_id) {
  if (known_statement(split, home_id) == nullptr) return home_id;
  const auto& all = split.statements;
  uint32_t last = all.empty() ? 0 : all.back().id;
  for (const auto& statement : split.transaction.closed) last = std::max(last, statement.id);
  return last + 1;
}

Statement* statement_by_id(Split& split, uint32_t id) {
  const auto found = std::ranges::lower_bound(split.statements, id, {}, &Statement::id);
  return found == split.statements.end() || found->id != id ? nullptr : &*found;
}

Statement* known_statement(Split& split, uint32_t id) {
  if (auto* statement = statement_by_id(split, id)) return statement;
  auto& closed = split.transaction.closed;
  const auto found = std::ranges::find(closed, id, &Statement::id);
  return found == closed.end() ? nullptr : &*found;
}

Statement* recorded_statement(Split& split, ByteSpan command) {
  return known_statement(split, id_in(command));
}

Statement* statement_of(Split& split, ByteSpan command) {
  if (command.size() < kHeaderSize + 5) return nullptr;
  auto id = id_in(command);
  // Clients need not know its id yet. What home has prepared last may be another one.
  if (id == kLast && split.settings.mode.flavour == sql::Flavour::Mariadb) id = split.last_prepared;
  return statement_by_id(split, id);
}

ByteSpan with_id(ByteSpan command, uint32_t id, Actions& out) {
  if (id_in(command) == id) return command;
  Bytes& patched = out.make();
  patched.assign(command.begin(), command.end());
  put(patched, kIdAt, id, 4);
  return patched;
}

ByteSpan execution_for(Statement& statement, Side side, ByteSpan command, Actions& out) {
  return side == Side::server
             ? execution_with(statement, statement.home_id, statement.home_has_types, command, out)
             : execution_with(statement, statement.reader_id, statement.reader_has_types, command,
                              out);
}

ByteSpan execution_with_types(Statement& statement, ByteSpan command, Actions& out) {
  bool has_types = false;
  const bool at_home = statement.home_has_types, at_reader = statement.reader_has_types;
  const auto made = execution_with(statement, statement.id, has_types, command, out);
  statement.home_has_types = at_home;
  statement.reader_has_types = at_reader;
  return made;
}

std::optional<Prepared> parse_prepared(ByteSpan bytes) {
  const auto packet = first_packet(bytes);
  if (!packet) return std::nullopt;
  ByteReader in(packet->payload);
  const auto marker = in.fixed<uint8_t>("marker");
  const auto id = in.fixed<uint32_t>("statement_id");
  (void)in.fixed<uint16_t>("columns");
  const auto parameters = in.fixed<uint16_t>("parameters");
  if (!parameters || *marker != 0) return std::nullopt;
  return Prepared{*id, *parameters};
}

uint64_t shape_of(ByteSpan answer) {
  if (answer.size() >= kMaxPrepared) return 0;
  Checksum columns;
  bool first = true;
  for (auto packet = first_packet(answer); packet; packet = first_packet(answer)) {
    answer = answer.subspan(packet->size);
    if (std::exchange(first, false) || is_eof(packet->payload)) continue;
    columns.add(packet->payload);
  }
  return columns.sum ^ columns.size;
}

bool keeps_shapes(uint64_t capabilities) {
  return (capabilities & mysql::kMariadbCacheMetadata) != 0;
}

bool is_as_prepared(const Split& split, const Statement& statement) {
  return statement.settings_version == split.settings.version &&
         statement.database_version == split.settings.database_version;
}

}  // namespace sluice::worker::split
