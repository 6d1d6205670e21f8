#include "common/base/units.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <span>

namespace sluice {
namespace {

struct Unit {
  std::string_view name;
  uint64_t factor;
};
constexpr Unit kDurations[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
constexpr Unit kSizes[] = {
    {"B", 1}, {"KiB", uint64_t{1} << 10}, {"MiB", uint64_t{1} << 20}, {"GiB", uint64_t{1} << 30}};

std::string known(std::span<const Unit> units) {
  std::string names;
  for (const Unit& unit : units) names.append(names.empty() ? "" : ", ").append(unit.name);
  return names;
}

Result<uint64_t> parse(std::string_view text, std::span<const Unit> units, uint64_t max) {
  uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc::invalid_argument)
    return fail(Errc::bad_input, fmt::format("\"{}\" does not begin with a number", text));
  const std::string_view name(rest, static_cast<std::size_t>(end - rest));
  if (name.empty())
    return fail(Errc::bad_input, fmt::format("\"{}\" has no unit ({})", text, known(units)));
  const auto unit = std::ranges::find(units, name, &Unit::name);
  if (unit == units.end())
    return fail(Errc::bad_input,
                fmt::format("\"{}\" has an unknown unit (known: {})", text, known(units)));
  if (error == std::errc::result_out_of_range || number > max / unit->factor)
    return fail(Errc::bad_input, fmt::format("\"{}\" is too large", text));
  return number * unit->factor;
}

std::string format(uint64_t value, std::span<const Unit> units, std::string_view zero) {
  if (value == 0) return std::string(zero);
  const auto divides = [value](const Unit& unit) { return value % unit.factor == 0; };
  const auto unit =
      std::find_if(units.rbegin(), units.rend(), divides);  // the first one always does
  return fmt::format("{}{}", value / unit->factor, unit->name);
}

}  // namespace

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
  return std::chrono::milliseconds(static_cast<int64_t>(SLUICE_TRY(parse(text, kDurations, kMax))));
}

Result<uint64_t> parse_size(std::string_view text) {
  return parse(text, kSizes, std::numeric_limits<uint64_t>::max());
}

std::string format_duration(std::chrono::milliseconds duration) {
  return format(static_cast<uint64_t>(duration.count()), kDurations, "0s");
}

std::string format_size(uint64_t bytes) {
  return format(bytes, kSizes, "0B");
}

std::string format_date(int64_t seconds) {
  const time_t time = seconds;
  tm parts{};
  if (::gmtime_r(&time, &parts) == nullptr) return "?";
  return fmt::format("{:04}-{:02}-{:02}", int64_t{parts.tm_year} + 1900, parts.tm_mon + 1,
                     parts.tm_mday);
}

}  // namespace sluice
