// What the sessions of a service have written last, by GTID, over all workers: a part of the
// statistics page, for those who are to read it elsewhere. Each worker has a place of its own for
// each service and alone writes there, so nobody ever waits; who reads puts them together. What a
// worker leaves behind when it is gone stays true.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::stats {

/// Lives in shared memory; zeroes are an empty one.
struct WritesSlot {
  static constexpr std::size_t kWords = 21;
  static constexpr std::size_t kBytes = kWords * sizeof(uint64_t);
  std::atomic<uint64_t> sequence;  ///< odd: it is being written
  std::atomic<uint64_t> doubts;    ///< writes whose GTID was not told, or has no room
  std::atomic<uint64_t> size;      ///< of the text; in the upper half the generation
  std::array<std::atomic<uint64_t>, kWords> words;  ///< GTIDs, one of a domain (MySQL: source)
};

/// The last of each domain, of two lists that are joined by commas: "0-1-5" and "0-2-6,1-1-1" give
/// "0-2-6,1-1-1". Of MySQL "UUID:1-N": what its source has numbered before is written before.
/// Empty if one can't be read.
std::string last_of(std::string_view a, std::string_view b);
/// Whether the first has all that is in the second.
bool has_all(std::string_view list, std::string_view of);

class LastWrites {
 public:
  /// `slots`: one for each worker there can be, `stride` apart; `own`: of this one.
  LastWrites(WritesSlot* slots, std::size_t stride, const std::atomic<uint64_t>& used, uint32_t own)
      : slots_(slots), stride_(stride), used_(used), own_(own) {}

  void publish(std::string_view gtids) const;
  /// Some of what is known is not true any more: the primary, which was asked later, has got no
  /// further than to `gtids`. It was restored, or has lost what was not replicated. What all have
  /// told before is forgotten, and a doubt more, for whoever writes at the same time.
  void begin_anew(std::string_view gtids) const;
  /// Something may have been written, and it is not known as what.
  void doubt() const;

  /// Goes up with each write and each doubt.
  uint64_t version() const;
  uint64_t doubts() const;
  /// All that is known; empty if nothing was written, or what was can't be told now: then there is
  /// a doubt more, or will be.
  struct Known {
    std::string gtids;
    bool torn = false;  ///< it can't be told
  };
  Known read() const;

 private:
  WritesSlot& slot(uint64_t worker) const { return slots_[worker * stride_]; }
  uint64_t used() const;
  uint32_t generation() const;
  void put(std::string_view text, uint32_t generation) const;

  WritesSlot* slots_;
  std::size_t stride_;
  const std::atomic<uint64_t>& used_;
  uint32_t own_;
};

}  // namespace sluice::stats
