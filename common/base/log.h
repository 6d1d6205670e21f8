// The log: constant text, then key=value. Where a record goes is decided once for the process: the
// master writes it out (master/log_output.h), every other process sends it to the master.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace sluice::log {

enum class Level : uint8_t {
  error,    ///< an operator must act
  warning,  ///< an operator may have to
  notice,   ///< the state of the service changed
  info,     ///< one line a session
  debug,
};
inline constexpr std::string_view kLevelNames[] = {"error", "warning", "notice", "info", "debug"};
constexpr std::string_view name(Level level) {
  return kLevelNames[static_cast<int>(level)];
}

/// A key and its value, already text. Quoted and escaped when rendered, so that no value can
/// forge a line or another key.
struct KeyValue {
  std::string_view key;
  std::string value;
};
template <class T>
KeyValue kv(std::string_view key, const T& value) {
  return {key, fmt::format("{}", value)};
}

/// " key=value key=\"two words\"": what follows the text in a rendered record.
std::string render(std::initializer_list<KeyValue> values);
/// `value` as it stands in a record: bare if it is plain, else quoted with escapes.
std::string quoted(std::string_view value);

/// Receives every record that passes the level. `text` is constant text plus rendered values.
using Sink = void (*)(void* context, Level level, std::string_view component,
                      std::string_view text);
/// Sets the sink of this process. Without one, records go to stderr.
void set_sink(Sink sink, void* context);
void set_level(Level level);
Level level();

void write(Level level, std::string_view component, std::string_view text,
           std::initializer_list<KeyValue> values);

template <class... Kv>
void error(std::string_view component, std::string_view text, Kv&&... values) {
  if (level() >= Level::error) write(Level::error, component, text, {std::forward<Kv>(values)...});
}
template <class... Kv>
void warning(std::string_view component, std::string_view text, Kv&&... values) {
  if (level() >= Level::warning)
    write(Level::warning, component, text, {std::forward<Kv>(values)...});
}
template <class... Kv>
void notice(std::string_view component, std::string_view text, Kv&&... values) {
  if (level() >= Level::notice)
    write(Level::notice, component, text, {std::forward<Kv>(values)...});
}
template <class... Kv>
void info(std::string_view component, std::string_view text, Kv&&... values) {
  if (level() >= Level::info) write(Level::info, component, text, {std::forward<Kv>(values)...});
}
template <class... Kv>
void debug(std::string_view component, std::string_view text, Kv&&... values) {
  if (level() >= Level::debug) write(Level::debug, component, text, {std::forward<Kv>(values)...});
}

}  // namespace sluice::log
