// The compressed protocol: behind the login, packets travel in frames that zlib has made smaller,
// or not (MySQL manual, "Protocol::CompressedPacket"). Packets and frames begin and end where they
// like, each frame is compressed by itself, and frames are counted apart from packets.
#pragma once

#include <memory>
#include <optional>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/ipc/codec.h"

struct z_stream_s;

namespace sluice::mysql {

/// How far the frames of one connection are, seen from the server's end.
struct Frames {
  /// Number of the next one to the client: it expects them counted on from its own last one.
  uint8_t next = 0;
  Bytes partial;  ///< the beginning of one that has not come whole
  // Of the packets in what was opened:
  uint8_t head = 0;      ///< bytes of the header of the present one that were seen
  uint32_t left = 0;     ///< bytes of it that are still to come, as far as its header says so yet
  uint8_t number = 0;    ///< its number
  bool goes_on = false;  ///< the next one continues it
  bool counted = false;  ///< it is no command
  static auto fields(auto& m) {
    using ipc::tag;
    return std::tuple(tag<1>(m.next), tag<2>(m.partial), tag<3>(m.head), tag<4>(m.left),
                      tag<5>(m.number), tag<6>(m.goes_on), tag<7>(m.counted));
  }
};

/// Clients that compress do not count their packets as others do, some not at all (Connector/C
/// libmariadb/ma_net.c, ma_net_write()): gives those in `plain`, which was just opened, the numbers
/// that a server without compression goes by. `due`: of the next one, if it is no command.
void number_packets(Frames& at, std::span<std::byte> plain, std::optional<uint8_t> due);

/// Opens and makes frames; what zlib needs for that is one for all connections.
class Zlib {
 public:
  Zlib();
  ~Zlib();
  Zlib(const Zlib&) = delete;
  Zlib& operator=(const Zlib&) = delete;

  /// Appends what is in the frames of `bytes` to `plain`; what is left over waits for the rest.
  /// Errc::bad_input if they are none, and the connection can't go on.
  Result<> open(Frames& at, ByteSpan bytes, Bytes& plain);

  /// Appends frames with `plain` to `frames`.
  void make(Frames& at, ByteSpan plain, Bytes& frames);

 private:
  Result<std::size_t> open_first(Frames& at, ByteSpan bytes, Bytes& plain);

  std::unique_ptr<z_stream_s> inflating_, deflating_;
};

}  // namespace sluice::mysql
