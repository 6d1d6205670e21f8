#include "common/base/units.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace sluice {
namespace {

using std::chrono::milliseconds;

TEST(Units, DurationsCarryAUnit) {
  const struct {
    std::string_view text;
    int64_t ms;
  } cases[] = {{"0ms", 0},         {"0s", 0},       {"250ms", 250},
               {"1s", 1000},       {"5m", 300'000}, {"2h", 7'200'000},
               {"1d", 86'400'000}, {"007s", 7000},  {"9223372036854775807ms", INT64_MAX}};
  for (const auto& [text, ms] : cases) {
    const auto parsed = parse_duration(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(parsed->count(), ms) << text;
  }
}

TEST(Units, WhatIsNotADurationSaysWhy) {
  const struct {
    std::string_view text, reason;
  } cases[] = {
      {"", "\"\" does not begin with a number"},
      {"s", "\"s\" does not begin with a number"},
      {"-5s", "\"-5s\" does not begin with a number"},
      {"+5s", "\"+5s\" does not begin with a number"},
      {" 5s", "\" 5s\" does not begin with a number"},
      {"5", "\"5\" has no unit (ms, s, m, h, d)"},
      {"5 s", "\"5 s\" has an unknown unit (known: ms, s, m, h, d)"},
      {"5min", "\"5min\" has an unknown unit (known: ms, s, m, h, d)"},
      {"1.5s", "\"1.5s\" has an unknown unit (known: ms, s, m, h, d)"},
      {"5S", "\"5S\" has an unknown unit (known: ms, s, m, h, d)"},
      {"9223372036854775808ms", "\"9223372036854775808ms\" is too large"},
      {"106751991168d", "\"106751991168d\" is too large"},
      {"99999999999999999999s", "\"99999999999999999999s\" is too large"},
  };
  for (const auto& [text, reason] : cases) {
    const auto parsed = parse_duration(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, Errc::bad_input);
    EXPECT_EQ(parsed.error().message, reason);
  }
}

TEST(Units, SizesCarryAUnit) {
  EXPECT_EQ(parse_size("0B").value(), 0u);
  EXPECT_EQ(parse_size("100B").value(), 100u);
  EXPECT_EQ(parse_size("64KiB").value(), 65536u);
  EXPECT_EQ(parse_size("16MiB").value(), 16u << 20);
  EXPECT_EQ(parse_size("3GiB").value(), uint64_t{3} << 30);
  EXPECT_EQ(parse_size("18446744073709551615B").value(), std::numeric_limits<uint64_t>::max());
}

TEST(Units, WhatIsNotASizeSaysWhy) {
  for (const auto text :
       {"", "64", "64KB", "64kib", "64 KiB", "-1B", "18446744073709551616B", "17179869184GiB"})
    EXPECT_FALSE(parse_size(text)) << text;
  EXPECT_EQ(parse_size("64KB").error().message,
            "\"64KB\" has an unknown unit (known: B, KiB, MiB, GiB)");
}

TEST(Units, FormatIsReadBackAsTheSame) {
  EXPECT_EQ(format_duration(milliseconds(300'000)), "5m");
  EXPECT_EQ(format_duration(milliseconds(90'000)), "90s");
  EXPECT_EQ(format_duration(milliseconds(1001)), "1001ms");
  EXPECT_EQ(format_duration(milliseconds(0)), "0s");
  EXPECT_EQ(format_size(65536), "64KiB");
  EXPECT_EQ(format_size(1000), "1000B");
  EXPECT_EQ(format_size(0), "0B");
  for (const int64_t ms : {int64_t{1}, int64_t{999}, int64_t{86'400'000}, INT64_MAX})
    EXPECT_EQ(parse_duration(format_duration(milliseconds(ms))).value().count(), ms);
  for (const uint64_t bytes : {uint64_t{1}, uint64_t{1} << 20, UINT64_MAX})
    EXPECT_EQ(parse_size(format_size(bytes)).value(), bytes);
}

TEST(Units, DatesAreThoseOfUtc) {
  EXPECT_EQ(format_date(0), "1970-01-01");
  EXPECT_EQ(format_date(-1), "1969-12-31");
  EXPECT_EQ(format_date(1'801'353'599), "2027-01-30");
  EXPECT_EQ(format_date(1'801'353'600), "2027-01-31");
  EXPECT_EQ(format_date(253'402'300'799), "9999-12-31");
  EXPECT_EQ(format_date(INT64_MAX), "?");
}

}  // namespace
}  // namespace sluice
