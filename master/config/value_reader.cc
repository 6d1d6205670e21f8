#include "master/config/value_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "common/base/units.h"

namespace sluice::config {
namespace {

using Kind = Node::Kind;

constexpr std::size_t kMaxText = 1024;

bool is_list(Type type) {
  return type == Type::listen || type == Type::networks;
}

/// The kind of TOML value that a type is written as.
Kind kind_of(Type type) {
  if (type == Type::boolean) return Kind::boolean;
  if (type == Type::integer) return Kind::integer;
  return is_list(type) ? Kind::array : Kind::string;
}

bool has_control_character(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return (c >= 0 && c < 0x20) || c == 0x7F; });
}

/// What to write where a value has the wrong type but its meaning is near.
std::string type_hint(Type type, const Node& node) {
  if (type == Type::duration && node.kind == Kind::integer)
    return fmt::format("give it a unit: \"{0}ms\" or \"{0}s\"", node.integer);
  if (type == Type::size && node.kind == Kind::integer)
    return fmt::format("give it a unit: \"{0}B\" or \"{0}KiB\"", node.integer);
  if (is_list(type) && node.kind == Kind::string && !has_control_character(node.text))
    return fmt::format("write [\"{}\"]", node.text);
  if (type == Type::integer && node.kind == Kind::string && !node.text.empty() &&
      std::ranges::all_of(node.text, [](char c) { return c >= '0' && c <= '9'; }))
    return fmt::format("write {}", node.text);
  return {};
}

}  // namespace

std::optional<Value> ValueReader::read(const Key& key, const Node& node, const std::string& path) {
  const Subject subject{key, node, path};
  if (node.kind != kind_of(key.type)) return wrong_type(subject);
  auto value = [&]() -> Read {
    switch (key.type) {
      case Type::boolean:
        return Value(node.integer != 0);
      case Type::integer:
        return integer(subject);
      case Type::duration:
        return duration(subject);
      case Type::size:
        return size(subject);
      case Type::mode:
        return mode(subject);
      case Type::choice:
        return choice(subject);
      case Type::path:
        return this->path(subject);
      case Type::text:
      case Type::file:
        return string_value(subject);
      case Type::address:
        return address(subject);
      case Type::listen:
        return listen(subject);
      case Type::networks:
        return networks(subject);
      case Type::password:
        return password(subject);
      case Type::password_file:
        return password_file(subject);
      case Type::credential:
        return credential(subject);
    }
    return std::nullopt;
  }();
  if (value && key.type == Type::file)
    return Value(beside_configuration(std::get<std::string>(*value)));
  return value;
}

ValueReader::Read ValueReader::refuse(const Subject& subject, std::string text, std::string hint) {
  problems_.error(subject.node.at, subject.path, std::move(text), std::move(hint));
  return std::nullopt;
}

ValueReader::Read ValueReader::wrong_type(const Subject& subject) {
  const auto type = subject.key.type;
  const auto what = type == Type::choice
                        ? fmt::format("one of \"{}\"", fmt::join(subject.key.proposed(), "\", \""))
                        : std::string(example(type));
  return refuse(subject, fmt::format("expected {}, not {}", what, describe(subject.node.kind)),
                type_hint(type, subject.node));
}

ValueReader::Read ValueReader::number(const Subject& subject, uint64_t number) {
  const Key& key = subject.key;
  if (number >= key.min && number <= key.max) return Value(number);
  return refuse(
      subject, fmt::format("{} is out of range: {}", to_text(key, Value(number)), range_text(key)));
}

ValueReader::Read ValueReader::integer(const Subject& subject) {
  if (subject.node.integer >= 0)
    return number(subject, static_cast<uint64_t>(subject.node.integer));
  return refuse(subject, fmt::format("{} is out of range: {}", subject.node.integer,
                                     range_text(subject.key)));
}

ValueReader::Read ValueReader::duration(const Subject& subject) {
  const auto parsed = parse_duration(subject.node.text);
  if (!parsed)
    return refuse(subject, parsed.error().message,
                  fmt::format("write {}", example(Type::duration)));
  return number(subject, static_cast<uint64_t>(parsed->count()));
}

ValueReader::Read ValueReader::size(const Subject& subject) {
  const auto parsed = parse_size(subject.node.text);
  if (!parsed)
    return refuse(subject, parsed.error().message, fmt::format("write {}", example(Type::size)));
  return number(subject, *parsed);
}

ValueReader::Read ValueReader::mode(const Subject& subject) {
  const std::string& text = subject.node.text;
  uint64_t mode = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, mode, 8);
  if (text.empty() || error != std::errc{} || rest != end)
    return refuse(subject, fmt::format("\"{}\" is not an octal file mode", text),
                  fmt::format("write {}", example(Type::mode)));
  return number(subject, mode);
}

ValueReader::Read ValueReader::choice(const Subject& subject) {
  const Key& key = subject.key;
  const std::string& text = subject.node.text;
  if (std::ranges::find(key.names, text) != key.names.end()) return Value(text);
  return refuse(subject, fmt::format("unknown {} \"{}\"", key.name, text),
                suggest(key.proposed(), text));
}

ValueReader::Read ValueReader::string_value(const Subject& subject) {
  const std::string& text = subject.node.text;
  if (text.empty()) return refuse(subject, "is empty");
  if (text.size() > kMaxText)
    return refuse(subject, fmt::format("is longer than {} bytes", kMaxText));
  if (has_control_character(text)) return refuse(subject, "contains a control character");
  return Value(text);
}

ValueReader::Read ValueReader::path(const Subject& subject) {
  auto value = string_value(subject);
  if (value && !subject.node.text.starts_with('/'))
    return refuse(subject, fmt::format("\"{}\" is not an absolute path", subject.node.text),
                  fmt::format("write {}", example(Type::path)));
  return value;
}

ValueReader::Read ValueReader::address(const Subject& subject) {
  auto endpoint = parse_server_address(subject.node.text);
  if (!endpoint)
    return refuse(subject, std::move(endpoint.error().text), std::move(endpoint.error().hint));
  return Value(std::move(*endpoint));
}

template <class Item>
ValueReader::Read ValueReader::list(const Subject& subject,
                                    Taken<Item> (*parse)(std::string_view)) {
  std::vector<Item> items;
  for (std::size_t i = 0; i < subject.node.items.size(); ++i) {
    const Node& node = subject.node.items[i];
    const auto path = fmt::format("{}[{}]", subject.path, i);
    if (node.kind != Kind::string)
      problems_.error(node.at, path,
                      fmt::format("expected a string in quotes, not {}", describe(node.kind)));
    else if (auto item = parse(node.text))
      items.push_back(std::move(*item));
    else
      problems_.error(node.at, path, item.error().text, item.error().hint);
  }
  // Half a list would only cause more problems, in validate().
  return items.size() == subject.node.items.size() ? Read(Value(std::move(items))) : std::nullopt;
}

ValueReader::Read ValueReader::listen(const Subject& subject) {
  if (subject.node.items.empty())
    return refuse(subject, "no address to listen on",
                  fmt::format("write {}", example(Type::listen)));
  return list<Endpoint>(subject, parse_listen_address);
}

ValueReader::Read ValueReader::networks(const Subject& subject) {
  return list<std::string>(subject, parse_network);
}

ValueReader::Read ValueReader::password(const Subject& subject) {
  const std::string& text = subject.node.text;
  if (!text.starts_with(kEncryptedPrefix)) {
    if (text.find('\0') != std::string::npos) return refuse(subject, "contains a NUL byte");
    const Source& source = inputs_.sources.at(subject.node.at.file);
    if (source.others_can_read && !text.empty())
      problems_.warning(subject.node.at, subject.path,
                        "clear password in a file that every user can read",
                        fmt::format("chmod o-r {}, or use password_file, or encrypt it with "
                                    "\"sluicectl encrypt\"",
                                    source.name));
    return Value(Secret(text));
  }
  const auto key = inputs_.read_secret(secrets_key_);
  if (!key)
    return refuse(subject, fmt::format("can't read the key: {}", key.error().message),
                  "[sluice] secrets_key names the key file that the value was encrypted with");
  if (key->others_can_read && !std::exchange(warned_about_key_, true))
    problems_.warning(subject.node.at, subject.path,
                      fmt::format("every user can read the key file {}", secrets_key_),
                      fmt::format("chmod 0600 {}", secrets_key_));
  auto clear = decrypt_with(text, key->text);
  if (!clear)
    return refuse(
        subject, std::move(clear.error().message),
        fmt::format("key file: {}; encrypt it again with \"sluicectl encrypt\"", secrets_key_));
  return Value(std::move(*clear));
}

ValueReader::Read ValueReader::password_file(const Subject& subject) {
  if (!string_value(subject)) return std::nullopt;
  return from_file(subject, beside_configuration(subject.node.text));
}

ValueReader::Read ValueReader::credential(const Subject& subject) {
  const std::string& name = subject.node.text;
  if (!string_value(subject)) return std::nullopt;
  if (name.find('/') != std::string::npos || name.starts_with('.'))
    return refuse(subject, fmt::format("\"{}\" is not the name of a credential", name));
  const auto file = fmt::format("{}/{}", inputs_.credentials, name);
  if (inputs_.purpose == Purpose::judge &&
      (inputs_.credentials.empty() || !inputs_.read_secret(file))) {
    problems_.warning(
        subject.node.at, subject.path,
        fmt::format("credential \"{}\" is not judged: only the service has it", name));
    return std::nullopt;
  }
  if (inputs_.credentials.empty())
    return refuse(subject, "systemd passed no credentials ($CREDENTIALS_DIRECTORY is not set)",
                  fmt::format("add LoadCredential={}:/PATH to the unit", name));
  return from_file(subject, file);
}

ValueReader::Read ValueReader::from_file(const Subject& subject, const std::string& file) {
  const auto content = inputs_.read_secret(file);
  if (!content) return refuse(subject, fmt::format("can't read {}", content.error().message));
  if (content->others_can_read)
    problems_.warning(subject.node.at, subject.path, fmt::format("every user can read {}", file),
                      fmt::format("chmod o-r {}", file));
  auto password = password_of(content->text);
  if (!password) return refuse(subject, fmt::format("{}: {}", file, password.error().message));
  return Value(std::move(*password));
}

std::string ValueReader::beside_configuration(const std::string& path) const {
  if (path.starts_with('/') || inputs_.directory.empty()) return path;
  return fmt::format("{}/{}", inputs_.directory, path);
}

}  // namespace sluice::config
