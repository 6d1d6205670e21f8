// Durations and sizes as people write them: a whole number and its unit, "250ms", "5m", "64KiB";
// and dates.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace sluice {

/// Units ms, s, m, h, d. Nothing else may stand before, between or behind; no sign, no fraction.
/// Errc::bad_input with a message for people, also for what does not fit 63 bits of milliseconds.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);

/// Bytes; units B, KiB, MiB, GiB. Errors as parse_duration().
Result<uint64_t> parse_size(std::string_view text);

/// In the largest unit that divides it: "5m", "90s", "0s". What parse_duration() reads back.
std::string format_duration(std::chrono::milliseconds duration);

/// In the largest unit that divides it: "64KiB", "1000B", "0B". What parse_size() reads back.
std::string format_size(uint64_t bytes);

/// The day of a time in seconds since the epoch, UTC: "2027-01-31" (RFC 3339, full-date). "?" for a
/// time that no calendar has.
std::string format_date(int64_t seconds);

}  // namespace sluice
