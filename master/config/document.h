// A configuration file as a plain tree with the place of everything in it, and the merging of
// several files into one tree. document.cc is the only translation unit of the project that sees
// toml++.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace sluice::config {

class Problems;

/// Where something stands. `file` is its index in Inputs::sources; lines and columns count from 1,
/// columns in characters. Line 0: the file as a whole.
struct Place {
  uint32_t file = 0, line = 0, column = 0;
  auto operator<=>(const Place&) const = default;
};

struct Member;

/// A value of the file, of which one member is in use, according to `kind`.
struct Node {
  enum class Kind : uint8_t { string, integer, boolean, fraction, date, array, table };
  Kind kind = Kind::table;
  Place at;
  std::string text;             ///< string
  int64_t integer = 0;          ///< integer; boolean: 0 or 1
  std::vector<Node> items;      ///< array
  std::vector<Member> members;  ///< table, as they stand in the file

  const Member* find(std::string_view name) const;
};

struct Member {
  std::string name;
  Place at;  ///< of the key; value.at is that of the value
  Node value;
};

/// "a string", "an array": for messages.
std::string_view describe(Node::Kind kind);

struct SyntaxError {
  Place at;
  std::string text;
  std::string hint{};
};

/// The tree of one file. Stops at its first syntax error.
tl::expected<Node, SyntaxError> parse_document(std::string_view text, uint32_t file);

/// Adds a file's tree to that of the files before it. Tables grow together; any other key that both
/// have is a problem that names both places.
/// `path` is that of the table.
void merge(Node& into, Node&& from, Problems& problems, const std::string& path = {});

}  // namespace sluice::config
