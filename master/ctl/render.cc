#include "master/ctl/render.h"

#include <algorithm>
#include <string_view>

#include "master/ctl/escape.h"

namespace sluice::ctl {
namespace {

constexpr std::string_view kGap = "  ";

std::string_view cell(const ipc::Row& row, std::size_t column) {
  return column < row.cells.size() ? std::string_view(row.cells[column]) : std::string_view();
}

std::string text_cell(const ipc::Row& row, std::size_t column) {
  const auto value = cell(row, column);
  return value.empty() ? "-" : printable(value);
}

std::string heading(const ipc::Column& column) {
  std::string out = printable(column.name);
  for (char& c : out)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return out;
}

/// One line; the last cell is not padded, so that no line ends with spaces.
void append_line(std::string& out, const std::vector<std::string>& cells,
                 const std::vector<std::size_t>& widths, const std::vector<ipc::Column>& columns) {
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const std::size_t padding = widths[i] - width(cells[i]);
    const bool to_the_right = columns[i].kind == ipc::Kind::number;
    if (to_the_right) out.append(padding, ' ');
    out += cells[i];
    if (i + 1 == cells.size()) break;
    if (!to_the_right) out.append(padding, ' ');
    out += kGap;
  }
  out += '\n';
}

std::string list_text(const ipc::Table& table) {
  std::vector<std::vector<std::string>> lines(1);
  for (const auto& column : table.columns) lines[0].push_back(heading(column));
  for (const auto& row : table.rows) {
    auto& line = lines.emplace_back();
    for (std::size_t i = 0; i < table.columns.size(); ++i) line.push_back(text_cell(row, i));
  }
  std::vector<std::size_t> widths(table.columns.size());
  for (const auto& line : lines)
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], width(line[i]));
  std::string out;
  for (const auto& line : lines) append_line(out, line, widths, table.columns);
  return out;
}

std::string record_text(const ipc::Table& table) {
  std::size_t widest = 0;
  for (const auto& column : table.columns) widest = std::max(widest, width(printable(column.name)));
  std::string out;
  for (const auto& row : table.rows) {
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
      const auto name = printable(table.columns[i].name);
      out += name + ':' + std::string(widest - width(name) + 1, ' ') + text_cell(row, i) + '\n';
    }
  }
  return out;
}

/// Whether `text` is a number as JSON writes them (RFC 8259, section 6).
bool is_json_number(std::string_view text) {
  const auto digits = [&text] {
    const auto n = std::min(text.find_first_not_of("0123456789"), text.size());
    text.remove_prefix(n);
    return n;
  };
  if (text.starts_with('-')) text.remove_prefix(1);
  const bool zero = text.starts_with('0');
  const auto whole = digits();
  if (whole == 0 || (zero && whole > 1)) return false;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    if (digits() == 0) return false;
  }
  if (text.starts_with('e') || text.starts_with('E')) {
    text.remove_prefix(1);
    if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
    if (digits() == 0) return false;
  }
  return text.empty();
}

std::string json_value(ipc::Kind kind, std::string_view value) {
  if (kind == ipc::Kind::text) return json_string(value);
  if (value.empty()) return "null";
  const bool bare =
      kind == ipc::Kind::number ? is_json_number(value) : value == "true" || value == "false";
  return bare ? std::string(value) : json_string(value);
}

std::string json_object(const ipc::Table& table, const ipc::Row& row, std::string_view separator) {
  std::string out;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const auto& column = table.columns[i];
    if (i > 0) out += separator;
    out += json_string(column.name) + ": " + json_value(column.kind, cell(row, i));
  }
  return out;
}

}  // namespace

std::string to_text(const ipc::ControlReply& reply) {
  std::string out;
  if (!reply.table.columns.empty())
    out = reply.table.record ? record_text(reply.table) : list_text(reply.table);
  if (!reply.message.empty()) out += printable(reply.message, LineFeeds::keep) + '\n';
  return out;
}

std::string to_json(const ipc::ControlReply& reply) {
  const auto& table = reply.table;
  if (table.columns.empty()) return "{\"message\": " + json_string(reply.message) + "}\n";
  if (table.record) {
    if (table.rows.empty()) return "{}\n";
    return "{\n  " + json_object(table, table.rows.front(), ",\n  ") + "\n}\n";
  }
  if (table.rows.empty()) return "[]\n";
  std::string out = "[";
  for (std::size_t i = 0; i < table.rows.size(); ++i)
    out += (i > 0 ? ",\n  {" : "\n  {") + json_object(table, table.rows[i], ", ") + "}";
  return out + "\n]\n";
}

}  // namespace sluice::ctl
