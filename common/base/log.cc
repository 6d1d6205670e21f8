#include "common/base/log.h"

#include <atomic>
#include <cstdio>

namespace sluice::log {
namespace {

void to_stderr(void*, Level level, std::string_view component, std::string_view text) {
  fmt::print(stderr, "{}: {}: {}\n", name(level), component, text);
}

// Set once at start, before any thread; the level may change under way (`log level`).
Sink g_sink = to_stderr;
void* g_context = nullptr;
std::atomic<Level> g_level = Level::notice;

}  // namespace

std::string quoted(std::string_view value) {
  bool plain = !value.empty();
  for (const unsigned char c : value)
    if (c <= ' ' || c == '"' || c == '\\' || c == '=' || c == 0x7F) plain = false;
  if (plain) return std::string(value);

  std::string out = "\"";
  for (const unsigned char c : value) {
    if (c == '"' || c == '\\')
      out.append({'\\', static_cast<char>(c)});
    else if (c < ' ' || c == 0x7F)
      out += fmt::format("\\x{:02x}", c);
    else
      out += static_cast<char>(c);
  }
  return out += '"';
}

std::string render(std::initializer_list<KeyValue> values) {
  std::string out;
  for (const auto& [key, value] : values)
    out.append(" ").append(key).append("=").append(quoted(value));
  return out;
}

void set_sink(Sink sink, void* context) {
  g_sink = sink ? sink : to_stderr;
  g_context = context;
}
void set_level(Level level) {
  g_level.store(level, std::memory_order_relaxed);
}
Level level() {
  return g_level.load(std::memory_order_relaxed);
}

void write(Level level, std::string_view component, std::string_view text,
           std::initializer_list<KeyValue> values) {
  g_sink(g_context, level, component, std::string(text) + render(values));
}

}  // namespace sluice::log
