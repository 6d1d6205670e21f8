#include "common/ipc/codec.h"

#include <gtest/gtest.h>

#include "common/ipc/messages.h"

namespace sluice::ipc {
namespace {

struct Inner {
  int32_t number = 0;
  std::string text;
  static auto fields(auto& m) { return std::tuple(tag<1>(m.number), tag<2>(m.text)); }
  bool operator==(const Inner&) const = default;
};
struct Outer {
  std::vector<Inner> list;
  std::optional<uint16_t> maybe;
  std::unique_ptr<Inner> box;
  Bytes raw;
  bool flag = false;
  int64_t negative = 0;
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.list), tag<2>(m.maybe), tag<3>(m.box), tag<4>(m.raw), tag<5>(m.flag),
                      tag<6>(m.negative));
  }
};
struct OuterOfNextRelease {
  std::optional<uint16_t> maybe;
  std::string added;
  static auto fields(auto& m) { return std::tuple(tag<2>(m.maybe), tag<7>(m.added)); }
};
struct Wide {
  uint64_t n = 70000;
  static auto fields(auto& m) { return std::tuple(tag<2>(m.n)); }
};
struct Forgetful {
  int a = 0, b = 0;
  static auto fields(auto& m) { return std::tuple(tag<1>(m.a)); }
};
static_assert(complete<Outer>());
static_assert(!complete<Forgetful>(), "a member without a tag must not compile");

Outer sample() {
  Outer out;
  out.list = {{-7, "seven"}, {1 << 30, std::string(300, 'x')}};
  out.maybe = 65535;
  out.box = std::make_unique<Inner>(Inner{3, ""});
  out.raw = Bytes{std::byte{0}, std::byte{255}};
  out.flag = true;
  out.negative = INT64_MIN;
  return out;
}

TEST(Codec, DecodeOfEncodeIsTheSame) {
  const auto back = decode<Outer>(encode(sample()));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->list, sample().list);
  EXPECT_EQ(back->maybe, 65535);
  ASSERT_TRUE(back->box);
  EXPECT_EQ(*back->box, *sample().box);
  EXPECT_EQ(back->raw, sample().raw);
  EXPECT_TRUE(back->flag);
  EXPECT_EQ(back->negative, INT64_MIN);
}

TEST(Codec, AbsentStaysAbsent) {
  const auto back = decode<Outer>(encode(Outer{}));
  ASSERT_TRUE(back);
  EXPECT_FALSE(back->maybe);
  EXPECT_FALSE(back->box);
}

TEST(Codec, NeighbouringReleasesUnderstandEachOther) {
  const auto newer = decode<OuterOfNextRelease>(encode(sample()));
  ASSERT_TRUE(newer);
  EXPECT_EQ(newer->maybe, 65535);
  EXPECT_EQ(newer->added, "");
  OuterOfNextRelease next{.maybe = 5, .added = "unknown to the older one"};
  const auto older = decode<Outer>(encode(next));
  ASSERT_TRUE(older);
  EXPECT_EQ(older->maybe, 5);
}

TEST(Codec, EveryTruncationIsAnErrorOrAShorterStruct) {
  const auto whole = encode(sample());
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const auto cut = decode<Outer>(ByteSpan(whole).first(n));
    if (!cut) {
      EXPECT_FALSE(cut.error().field.empty());
    }
  }
}

TEST(Codec, UnknownEnumeratorsAreRefused) {
  Bytes bytes;
  put_varint(bytes, 1);  // Column::kind is tag 2: length 1, value 99
  bytes = {std::byte{2}, std::byte{1}, std::byte{99}};
  EXPECT_FALSE(decode<Column>(bytes));
}

TEST(Codec, NumbersThatDoNotFitAreRefused) {
  EXPECT_FALSE(decode<Outer>(encode(Wide{})));
}

TEST(Codec, ConfigTravels) {
  config::Config config;
  config.clusters.push_back({.name = "shop", .user = "sluice", .password = Secret("s3cret")});
  config.clusters[0].servers.push_back({.name = "db1", .address = {"10.0.0.1", 3306, ""}});
  config.services.push_back({.name = "shop", .cluster = "shop", .listen = {{"", 0, "/x.sock"}}});
  const auto back = decode<config::Config>(encode(config));
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, config);
}

}  // namespace
}  // namespace sluice::ipc
