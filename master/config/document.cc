#include "master/config/document.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "master/config/problems.h"

// Some assertions of toml++ 3.3 are about the input ("[=]"), which its code behind them refuses
// with a proper error; without them it does. With NDEBUG they would become assumptions of the
// optimizer.
#undef NDEBUG
#define TOML_ASSERT(condition) static_assert(true)
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#define TOML_MAX_NESTED_VALUES 16
// Its character classes call "unreachable" what any letter beyond ASCII reaches; there it is "no".
#include <toml++/impl/forward_declarations.h>
#undef TOML_UNREACHABLE
#define TOML_UNREACHABLE return false
#include <toml++/impl/unicode.h>
#undef TOML_UNREACHABLE
#define TOML_UNREACHABLE __builtin_unreachable()
#include <toml++/toml.h>

namespace sluice::config {
namespace {

/// toml++ bounds the depth of arrays and inline tables, but not that of dotted keys ("a.a.a…"), and
/// frees what it made by recursion. This bounds the depth of all together; what is deeper than
/// kMaxDepth is then refused.
constexpr std::ptrdiff_t kMaxDotsInLine = 512;
constexpr int kMaxDepth = 32;
constexpr std::size_t kMaxFileSize = 4 << 20;

Place place(const toml::source_region& source, uint32_t file) {
  return {file, source.begin.line, source.begin.column};
}

/// Makes our tree of theirs.
class Converter {
 public:
  explicit Converter(uint32_t file) : file_(file) {}

  void table(const toml::table& table, Node& node, int depth = 0);
  /// Set if something was left out because it lay too deep.
  const std::optional<SyntaxError>& error() const { return error_; }

 private:
  Node node(const toml::node& from, int depth);

  const uint32_t file_;
  std::optional<SyntaxError> error_;
};

void Converter::table(const toml::table& table, Node& node, int depth) {
  node.kind = Node::Kind::table;
  for (const auto& [key, value] : table)
    node.members.push_back(
        {std::string(key.str()), place(key.source(), file_), this->node(value, depth + 1)});
  std::ranges::sort(node.members, {}, &Member::at);  // toml++ sorts by name
}

Node Converter::node(const toml::node& from, int depth) {
  Node node;
  node.at = place(from.source(), file_);
  if (depth > kMaxDepth) {
    error_ = SyntaxError{node.at, fmt::format("nested deeper than {} levels", kMaxDepth)};
  } else if (const auto* string = from.as_string()) {
    node.kind = Node::Kind::string;
    node.text = string->get();
  } else if (const auto* integer = from.as_integer()) {
    node.kind = Node::Kind::integer;
    node.integer = integer->get();
  } else if (const auto* boolean = from.as_boolean()) {
    node.kind = Node::Kind::boolean;
    node.integer = boolean->get();
  } else if (const auto* array = from.as_array()) {
    node.kind = Node::Kind::array;
    for (const toml::node& item : *array) node.items.push_back(this->node(item, depth + 1));
  } else if (const auto* table = from.as_table()) {
    this->table(*table, node, depth);
  } else {
    node.kind = from.is_floating_point() ? Node::Kind::fraction : Node::Kind::date;
  }
  return node;
}

/// "Error while parsing table header: expected …" of toml++ in our words.
std::string syntax_message(std::string_view description) {
  constexpr std::string_view kPrefix = "Error while parsing ";
  if (!description.starts_with(kPrefix)) return fmt::format("syntax error: {}", description);
  return fmt::format("syntax error in {}", description.substr(kPrefix.size()));
}

/// What stands before the place is the beginning of a value without quotes: after "=", "[" or ",".
bool in_bare_value(std::string_view text, const Place& at) {
  for (uint32_t line = 1; line < at.line && !text.empty(); ++line)
    text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
  text = text.substr(0, text.find('\n'));
  // The parser stands at the value's first character, or behind the last that it understood.
  text = text.substr(0, std::max(at.column, 1U) - 1);
  const auto before = text.find_last_of(" \t\"'=[{,#");
  if (before == std::string_view::npos) return false;
  const auto mark = text.find_last_not_of(" \t", before);
  return mark != std::string_view::npos && std::string_view("=[,").find(text[mark]) != text.npos;
}

tl::expected<void, SyntaxError> check_size(std::string_view text, uint32_t file) {
  if (text.size() > kMaxFileSize)
    return tl::unexpected(SyntaxError{{file, 0, 0}, "the file is larger than 4 MiB"});
  for (uint32_t line = 1; !text.empty(); ++line) {
    const auto end = std::min(text.find('\n'), text.size() - 1);
    if (std::ranges::count(text.substr(0, end), '.') > kMaxDotsInLine)
      return tl::unexpected(
          SyntaxError{{file, line, 1},
                      "more than 512 dots in one line",
                      "break long lists into lines: each server may have one of its own"});
    text.remove_prefix(end + 1);
  }
  return {};
}

}  // namespace

const Member* Node::find(std::string_view name) const {
  const auto it = std::ranges::find(members, name, &Member::name);
  return it == members.end() ? nullptr : &*it;
}

std::string_view describe(Node::Kind kind) {
  static constexpr std::array<std::string_view, 7> kNames = {
      "a string",       "an integer", "a boolean", "a number with a fraction",
      "a date or time", "an array",   "a table"};
  return kNames[static_cast<std::size_t>(kind)];
}

tl::expected<Node, SyntaxError> parse_document(std::string_view text, uint32_t file) {
  if (auto ok = check_size(text, file); !ok) return tl::unexpected(ok.error());
  const toml::parse_result result = toml::parse(text);
  if (!result) {
    const auto at = place(result.error().source(), file);
    return tl::unexpected(SyntaxError{at, syntax_message(result.error().description()),
                                      in_bare_value(text, at)
                                          ? "a text stands in quotes, also a duration, an "
                                            "address or a path: \"5m\", \"10.0.0.11:3306\""
                                          : ""});
  }
  Node root;
  root.at = {file, 0, 0};
  Converter converter(file);
  converter.table(result.table(), root);
  if (converter.error()) return tl::unexpected(*converter.error());
  return root;
}

void merge(Node& into, Node&& from, Problems& problems, const std::string& path) {
  for (Member& added : from.members) {
    const auto added_path = join(path, added.name);
    const auto known = std::ranges::find(into.members, added.name, &Member::name);
    if (known == into.members.end())
      into.members.push_back(std::move(added));
    else if (known->value.kind == Node::Kind::table && added.value.kind == Node::Kind::table)
      merge(known->value, std::move(added.value), problems, added_path);
    else
      problems.error(added.at, added_path,
                     fmt::format("set already at {}", problems.name(known->at)),
                     "a key may stand in one of the files only");
  }
}

}  // namespace sluice::config
