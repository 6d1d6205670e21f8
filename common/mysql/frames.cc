#include "common/mysql/frames.h"

#include <zlib.h>

#include <algorithm>
#include <new>

#include "common/mysql/protocol.h"

namespace sluice::mysql {
namespace {

constexpr std::size_t kHeader = 7, kMaxFrame = 0xffffff;
/// Less is not worth it (MySQL include/my_compress.h, MIN_COMPRESS_LENGTH).
constexpr std::size_t kLeast = 50;

Bytef* data_of(ByteSpan bytes) {
  return reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data()));  // zlib 1 knows no const
}

void put_size(std::span<std::byte> to, std::size_t size) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] = static_cast<std::byte>(size >> (8 * i));
}

void must(int result) {
  if (result != Z_OK) throw std::bad_alloc();  // nothing else can go wrong there
}

}  // namespace

Zlib::Zlib() : inflating_(std::make_unique<z_stream>()), deflating_(std::make_unique<z_stream>()) {
  must(inflateInit(inflating_.get()));
  must(deflateInit(deflating_.get(), Z_BEST_SPEED));
}

Zlib::~Zlib() {
  inflateEnd(inflating_.get());
  deflateEnd(deflating_.get());
}

void number_packets(Frames& at, std::span<std::byte> plain, std::optional<uint8_t> due) {
  while (!plain.empty()) {
    if (at.head == 0 && at.left > 0) {
      const auto taken = std::min<std::size_t>(at.left, plain.size());
      at.left -= static_cast<uint32_t>(taken);
      plain = plain.subspan(taken);
      continue;
    }
    if (at.head < 3) {
      at.left |= static_cast<uint32_t>(plain[0]) << 8 * at.head++;
    } else {
      // Who says what is due may not have counted the packet before: it was not whole.
      const bool known = due && at.counted && static_cast<uint8_t>(*due - at.number) <= 1;
      at.number = static_cast<uint8_t>(at.goes_on || known ? at.number + 1 : due.value_or(0));
      at.counted = due.has_value();
      if (due) due = static_cast<uint8_t>(at.number + 1);
      at.goes_on = at.left == kMaxPayload;
      at.head = 0;
      plain[0] = std::byte{at.number};
    }
    plain = plain.subspan(1);
  }
}

/// How long the first frame of `bytes` is; 0: it is not whole.
Result<std::size_t> Zlib::open_first(Frames& at, ByteSpan bytes, Bytes& plain) {
  ByteReader in(bytes);
  const auto size = in.fixed<uint32_t>("size", 3);
  const auto number = in.fixed<uint8_t>("number");
  const auto opened = in.fixed<uint32_t>("size when opened", 3);
  if (!size || !number || !opened) return 0;
  const auto content = in.bytes(*size, "content");
  if (!content) return 0;
  at.next = static_cast<uint8_t>(*number + 1);
  if (*opened == 0) {
    plain.insert(plain.end(), content->begin(), content->end());
    return in.at();
  }
  const auto before = plain.size();
  plain.resize(before + *opened);
  auto& zlib = *inflating_;
  inflateReset(&zlib);
  zlib.next_in = data_of(*content);
  zlib.avail_in = *size;
  zlib.next_out = data_of(ByteSpan(plain).subspan(before));
  zlib.avail_out = *opened;
  if (inflate(&zlib, Z_FINISH) != Z_STREAM_END || zlib.avail_out != 0 || zlib.avail_in != 0) {
    plain.resize(before);
    return fail(Errc::bad_input, "a compressed packet that can't be decompressed");
  }
  return in.at();
}

Result<> Zlib::open(Frames& at, ByteSpan bytes, Bytes& plain) {
  auto& kept = at.partial;
  if (!kept.empty()) {
    kept.insert(kept.end(), bytes.begin(), bytes.end());
    bytes = kept;
  }
  std::size_t taken = 0;
  while (taken < bytes.size()) {
    const auto size = SLUICE_TRY(open_first(at, bytes.subspan(taken), plain));
    if (size == 0) break;
    taken += size;
  }
  const auto rest = bytes.subspan(taken);
  if (rest.empty())
    release(kept);  // an idle connection owns no buffer
  else if (kept.empty())
    kept.assign(rest.begin(), rest.end());
  else
    kept.erase(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(taken));
  return {};
}

void Zlib::make(Frames& at, ByteSpan plain, Bytes& frames) {
  while (!plain.empty()) {
    const auto content = plain.first(std::min(plain.size(), kMaxFrame));
    plain = plain.subspan(content.size());
    const auto begin = frames.size();
    frames.resize(begin + kHeader + content.size());
    const auto frame = std::span(frames).subspan(begin);
    auto& zlib = *deflating_;
    deflateReset(&zlib);
    zlib.next_in = data_of(content);
    zlib.avail_in = static_cast<uInt>(content.size());
    zlib.next_out = data_of(frame.subspan(kHeader));
    zlib.avail_out = static_cast<uInt>(content.size() - 1);  // else it is better left as it is
    const bool smaller = content.size() >= kLeast && deflate(&zlib, Z_FINISH) == Z_STREAM_END;
    if (!smaller) std::ranges::copy(content, frame.subspan(kHeader).begin());
    const auto size = smaller ? zlib.total_out : content.size();
    put_size(frame.first(3), size);
    frame[3] = std::byte{at.next++};
    put_size(frame.subspan(4, 3), smaller ? content.size() : 0);
    frames.resize(begin + kHeader + size);
  }
}

}  // namespace sluice::mysql
