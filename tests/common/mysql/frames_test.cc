#include "common/mysql/frames.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <random>

namespace sluice::mysql {
namespace {

Bytes text(std::string_view s) {
  const auto bytes = as_bytes(s);
  return {bytes.begin(), bytes.end()};
}

/// A frame as a client makes it, by zlib's simplest call.
Bytes frame(uint8_t number, ByteSpan content, bool compressed) {
  Bytes packed(content.begin(), content.end());
  if (compressed) {
    uLongf size = ::compressBound(content.size());
    packed.resize(size);
    ::compress(reinterpret_cast<Bytef*>(packed.data()), &size,
               reinterpret_cast<const Bytef*>(content.data()), content.size());
    packed.resize(size);
  }
  Bytes out;
  ByteWriter w(out);
  w.fixed<uint32_t>(static_cast<uint32_t>(packed.size()), 3);
  w.byte(number);
  w.fixed<uint32_t>(compressed ? static_cast<uint32_t>(content.size()) : 0, 3);
  w.raw(packed);
  return out;
}

Bytes noise(std::size_t size) {
  std::mt19937 random(size);
  Bytes out(size);
  for (auto& byte : out) byte = static_cast<std::byte>(random());
  return out;
}

TEST(Frames, OpensWhatAClientHasMadeWhereverItIsCut) {
  const auto content = text(std::string(300, 'x') + "and the rest");
  auto bytes = frame(0, content, true);
  const auto second = frame(1, text("short"), false);
  bytes.insert(bytes.end(), second.begin(), second.end());
  auto expected = content;
  const auto rest = text("short");
  expected.insert(expected.end(), rest.begin(), rest.end());
  Zlib zlib;
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    Frames at;
    Bytes plain;
    ASSERT_TRUE(zlib.open(at, ByteSpan(bytes).first(cut), plain));
    ASSERT_TRUE(zlib.open(at, ByteSpan(bytes).subspan(cut), plain));
    EXPECT_EQ(plain, expected) << cut;
    EXPECT_TRUE(at.partial.empty());
    EXPECT_EQ(at.partial.capacity(), 0u);
    EXPECT_EQ(at.next, 2);  // the answer's first
  }
}

TEST(Frames, WhatItMakesIsOpenedAgain) {
  Zlib zlib;
  for (const std::size_t size : {1, 49, 50, 51, 4096, 65536, 0xfffffe, 0xffffff, 0x1000000}) {
    for (const auto& content : {Bytes(size, std::byte{'a'}), noise(size)}) {
      Frames from{.next = 254}, to;
      Bytes frames, plain;
      zlib.make(from, content, frames);
      ASSERT_TRUE(zlib.open(to, frames, plain));
      EXPECT_EQ(plain, content);
      EXPECT_EQ(to.next, from.next);  // it goes over 255
      EXPECT_LE(frames.size(), size + 2 * 7);
    }
  }
}

TEST(Frames, WhatDoesNotGetSmallerIsLeftAsItIs) {
  Zlib zlib;
  Frames at;
  Bytes frames;
  const auto content = noise(1000);
  zlib.make(at, content, frames);
  EXPECT_EQ(frames, frame(0, content, false));
}

Bytes packet(uint8_t number, std::size_t size) {
  Bytes out;
  ByteWriter w(out);
  w.fixed<uint32_t>(static_cast<uint32_t>(size), 3);
  w.byte(number);
  w.zeros(size);
  return out;
}

/// As which the packets are numbered when they come in two parts, cut at `cut`.
std::vector<int> numbered(std::vector<Bytes> packets, std::optional<uint8_t> due, std::size_t cut) {
  Bytes all;
  for (const auto& one : packets) all.insert(all.end(), one.begin(), one.end());
  Frames at;
  number_packets(at, std::span(all).first(cut), due);
  // What is due next is known as far as packets have come whole.
  std::size_t end = 0;
  for (const auto& one : packets)
    if ((end += one.size()) <= cut && due) ++*due;
  number_packets(at, std::span(all).subspan(cut), due);
  std::vector<int> numbers;
  for (std::size_t i = 0; i < all.size();) {
    numbers.push_back(static_cast<int>(all[i + 3]));
    i += 4 + packets[numbers.size() - 1].size() - 4;
  }
  return numbers;
}

TEST(Frames, PacketsAreCountedAsServersExpectThem) {
  using testing::ElementsAre;
  const std::vector<Bytes> three{packet(0, 3), packet(0, 0), packet(7, 12)};
  for (std::size_t cut = 0; cut <= 3 * 4 + 15; ++cut) {
    EXPECT_THAT(numbered(three, std::nullopt, cut), ElementsAre(0, 0, 0));
  }
  for (std::size_t cut = 0; cut <= 3 * 4 + 15; ++cut)
    EXPECT_THAT(numbered(three, 254, cut), ElementsAre(254, 255, 0)) << cut;
  const std::vector<Bytes> large{packet(0, 0xffffff), packet(0, 0xffffff), packet(0, 1),
                                 packet(0, 1)};
  EXPECT_THAT(numbered(large, std::nullopt, 0x1000000), ElementsAre(0, 1, 2, 0));
}

TEST(Frames, PacketsOfALoginAreCountedFromTheServersLastOne) {
  Frames at;
  for (const uint8_t due : {2, 4, 6}) {
    auto bytes = packet(0, 5);
    number_packets(at, bytes, due);
    EXPECT_EQ(bytes[3], std::byte{due});
  }
}

TEST(Frames, RefusesWhatIsNoZlibAndWhatHasAnotherSizeThanItSays) {
  const auto good = frame(0, Bytes(100, std::byte{'a'}), true);
  Zlib zlib;
  for (std::size_t i = 4; i < good.size(); ++i) {
    auto bad = good;
    bad[i] ^= std::byte{0x55};
    Frames at;
    Bytes plain;
    const auto opened = zlib.open(at, bad, plain);
    EXPECT_FALSE(opened && plain == Bytes(100, std::byte{'a'})) << i;
  }
  Frames at;
  Bytes plain;
  EXPECT_TRUE(zlib.open(at, good, plain)) << "what was wrong before leaves nothing behind";
  EXPECT_EQ(plain.size(), 100u);
}

}  // namespace
}  // namespace sluice::mysql
