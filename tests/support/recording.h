// A conversation between a driver and a server as text, so that it can be read and compared:
//
//   # what it is
//   pipelined                       (the client does not wait for each answer)
//   C 03000000 0e61*500             bytes in hexadecimal; HH*N stands for N times the byte HH
//   S 0700000100…
//
// One line a turn: all that one side sent until the other did. Made by record_main.cc.
#pragma once

#include <charconv>
#include <fstream>
#include <istream>
#include <ostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/base/bytes.h"

namespace sluice::test {

struct Turn {
  bool from_server = false;
  Bytes bytes;
};

struct Recording {
  std::string name;
  std::string about;
  bool pipelined = false;
  std::vector<Turn> turns;

  /// Bytes that follow in the present turn, or open the next one.
  void add(bool from_server, ByteSpan bytes) {
    if (turns.empty() || turns.back().from_server != from_server)
      turns.push_back({from_server, {}});
    auto& all = turns.back().bytes;
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
};

inline void write_turn(std::ostream& out, const Turn& turn) {
  constexpr std::size_t kShortestRun = 4;
  static constexpr char kDigits[] = "0123456789abcdef";
  out << (turn.from_server ? 'S' : 'C');
  const auto& bytes = turn.bytes;
  bool joined = false;  // to the digits before
  for (std::size_t i = 0; i < bytes.size();) {
    std::size_t run = 1;
    while (i + run < bytes.size() && bytes[i + run] == bytes[i]) ++run;
    if (run < kShortestRun) run = 1;
    if (run > 1 || !joined) out << ' ';
    const auto byte = static_cast<unsigned>(bytes[i]);
    out << kDigits[byte >> 4] << kDigits[byte & 15];
    if (run > 1) out << '*' << run;
    joined = run == 1;
    i += run;
  }
  out << '\n';
}

inline void write_recording(std::ostream& out, const Recording& recording) {
  out << "# " << recording.about << '\n';
  if (recording.pipelined) out << "pipelined\n";
  for (const auto& turn : recording.turns) write_turn(out, turn);
}

/// The bytes of one word: pairs of digits, or one pair and how often. Throws std::runtime_error.
inline void append_word(Bytes& out, std::string_view word) {
  const auto star = std::min(word.find('*'), word.size());
  const auto number = [](std::string_view digits, int base) {
    std::size_t value = 0;
    const auto end = digits.data() + digits.size();
    if (std::from_chars(digits.data(), end, value, base).ptr != end || digits.empty())
      throw std::runtime_error("not a number: " + std::string(digits));
    return value;
  };
  for (std::size_t i = 0; i < star; i += 2) {
    const auto byte =
        static_cast<std::byte>(number(word.substr(i, std::min<std::size_t>(2, star - i)), 16));
    const bool repeated = star < word.size() && i + 2 == star;
    out.insert(out.end(), repeated ? number(word.substr(star + 1), 10) : 1, byte);
  }
}

/// Throws std::runtime_error where the text is not of the form above.
inline Recording read_recording(std::istream& in, std::string name) {
  Recording recording{.name = std::move(name)};
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("# ")) {
      recording.about = line.substr(2);
    } else if (line == "pipelined") {
      recording.pipelined = true;
    } else if (line.starts_with("C ") || line.starts_with("S ")) {
      Bytes bytes;
      std::istringstream words(line.substr(2));
      for (std::string word; words >> word;) append_word(bytes, word);
      recording.add(line[0] == 'S', bytes);
    } else {
      throw std::runtime_error(recording.name + ": not a line of a recording: " + line);
    }
  }
  return recording;
}

}  // namespace sluice::test
