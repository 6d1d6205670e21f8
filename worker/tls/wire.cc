#include "worker/tls/wire.h"

#include <algorithm>
#include <cassert>

namespace sluice::tls {
namespace {

Wire& wire_of(BIO* bio) {
  return *static_cast<Wire*>(BIO_get_data(bio));
}

int read(BIO* bio, char* to, int size) noexcept {
  Wire& wire = wire_of(bio);
  BIO_clear_retry_flags(bio);
  if (wire.in.empty()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const auto n = std::min(wire.in.size(), static_cast<std::size_t>(size));
  std::copy_n(wire.in.begin(), n, reinterpret_cast<std::byte*>(to));
  wire.in = wire.in.subspan(n);
  return static_cast<int>(n);
}

int write(BIO* bio, const char* from, int size) noexcept {
  Wire& wire = wire_of(bio);
  assert(wire.out != nullptr);
  ByteWriter(*wire.out).text({from, static_cast<std::size_t>(size)});
  return size;
}

/// Everything is written at once, so there is never anything to flush; nothing else is known.
long control(BIO*, int command, long, void*) noexcept {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

using Method = std::unique_ptr<BIO_METHOD, Release<BIO_meth_free>>;

Method make_method() {
  Method method(BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wire"));
  if (!method) return method;
  BIO_meth_set_read(method.get(), read);
  BIO_meth_set_write(method.get(), write);
  BIO_meth_set_ctrl(method.get(), control);
  return method;
}

}  // namespace

Bio make_bio(Wire& wire) {
  static const Method method = make_method();
  Bio bio(method ? BIO_new(method.get()) : nullptr);
  if (!bio) return bio;
  BIO_set_data(bio.get(), &wire);
  BIO_set_init(bio.get(), 1);
  return bio;
}

}  // namespace sluice::tls
