#include "tests/worker/session/script.h"

#include <algorithm>
#include <filesystem>

namespace sluice::worker {
namespace {

constexpr std::size_t kHeader = 4;

uint32_t byte_at(const Bytes& bytes, std::size_t i) {
  return static_cast<uint8_t>(bytes.at(i));
}

std::size_t packet_size(const Bytes& bytes, std::size_t at) {
  return kHeader +
         (byte_at(bytes, at) | byte_at(bytes, at + 1) << 8 | byte_at(bytes, at + 2) << 16);
}

}  // namespace

Script::Script(const test::Recording& recording)
    : name(recording.name), pipelined(recording.pipelined) {
  for (const auto& turn : recording.turns) {
    const auto from = turn.from_server ? Side::server : Side::client;
    auto& own = sent[static_cast<std::size_t>(from)];
    const auto other_size = sent[static_cast<std::size_t>(other(from))].size();
    turns.push_back({from, own.size(), own.size() + turn.bytes.size(), other_size});
    own.insert(own.end(), turn.bytes.begin(), turn.bytes.end());
  }
  expected = sent;
  greeting_end = packet_size(sent[1], 0);
  answer_end = packet_size(sent[0], 0);
  mask_capabilities();
  find_packets();
  find_boundaries();
}

/// Neither side may see the flags for compression (zlib, zstd) and TLS.
void Script::mask_capabilities() {
  constexpr std::byte kTls{0x08}, kCompress{0x20}, kZstd{0x04};  // bits 11, 5 and 26
  auto& response = expected[0];
  response[kHeader] &= ~kCompress;
  response[kHeader + 1] &= ~kTls;
  response[kHeader + 3] &= ~kZstd;
  auto& greeting = expected[1];
  const auto version_end = std::find(greeting.begin() + kHeader + 1, greeting.end(), std::byte{0});
  const auto lower = version_end + 1 + 4 + 8 + 1;  // connection id, scramble, filler
  lower[0] &= ~kCompress;
  lower[1] &= ~kTls;
  lower[2 + 1 + 2 + 1] &= ~kZstd;  // behind collation and status
}

void Script::find_packets() {
  for (const std::size_t side : {0, 1}) {
    packet_ends[side].insert(0);
    for (std::size_t at = 0; at < sent[side].size();) {
      at += packet_size(sent[side], at);
      packet_ends[side].insert(at);
    }
  }
}

bool Script::is_command(std::size_t packet) const {
  return byte_at(sent[0], packet + 3) == 0;
}

/// Between the last byte of an answer and the next command, and behind commands without an answer.
void Script::find_boundaries() {
  constexpr uint8_t kQuit = 0x01, kSendLongData = 0x18, kClose = 0x19;
  for (const Turn& turn : turns) {
    if (turn.from == Side::server || turn.begin == 0 || !is_command(turn.begin)) continue;
    boundaries.insert({turn.begin, turn.needs});
    for (std::size_t at = turn.begin; at < turn.end;) {
      const auto command = byte_at(sent[0], at + kHeader);
      if (command != kQuit && command != kSendLongData && command != kClose) break;
      at += packet_size(sent[0], at);
      boundaries.insert({at, turn.needs});
    }
  }
  if (turns.size() < 3 || turns.back().from != Side::server) return;
  const auto last = *std::prev(packet_ends[1].lower_bound(sent[1].size()));
  if (byte_at(sent[1], last + kHeader) == 0xFF)
    refusal_begin = last;
  else
    boundaries.insert({sent[0].size(), sent[1].size()});
}

std::size_t Script::may_write(Side side, std::size_t read) const {
  std::size_t end = 0;
  for (const Turn& turn : turns) {
    if (turn.from != side) continue;
    if (turn.needs > read) break;
    end = turn.end;
  }
  return end;
}

const std::vector<Script>& scripts() {
  static const auto all = [] {
    std::vector<Script> list;
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(SLUICE_TEST_DATA "/conversations"))
      if (entry.path().extension() == ".conversation") paths.push_back(entry.path());
    std::ranges::sort(paths);
    for (const auto& path : paths) {
      std::ifstream file(path);
      list.emplace_back(test::read_recording(file, path.stem()));
    }
    return list;
  }();
  return all;
}

}  // namespace sluice::worker
