// Frames of the compressed protocol from a hostile client, in parts: they are refused or opened,
// and what is opened and framed again opens to the same.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstdlib>

#include "common/mysql/frames.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  static mysql::Zlib zlib;
  FuzzedDataProvider input(data, size);
  mysql::Frames hostile, ours, theirs;
  while (input.remaining_bytes() > 0) {
    const auto part = input.ConsumeRandomLengthString();
    Bytes plain, frames, again;
    const auto opened = zlib.open(hostile, as_bytes(part), plain);
    zlib.make(ours, plain, frames);
    if (!zlib.open(theirs, frames, again) || again != plain || !theirs.partial.empty())
      std::abort();
    if (!opened) break;
  }
  return 0;
}
