// PROXY headers as hostile bytes, whole and in pieces of any size: what is taken, is taken at the
// same byte and means the same, and what was sent on is read back.
#include <cstdlib>

#include "common/base/networks.h"
#include "common/proxy_protocol/header.h"

namespace {

using namespace sluice;
using proxy_protocol::Header;

void must(bool holds) {
  if (!holds) std::abort();
}

bool same(const Header& a, const Header& b) {
  return a.size == b.size && a.local == b.local && a.source == b.source &&
         a.destination == b.destination;
}

void check(const Header& header, ByteSpan input) {
  must(header.size > 0 && header.size <= input.size());
  must(header.size <= proxy_protocol::kMaxHeader);
  if (header.local) return must(header.source == proxy_protocol::End{});
  const auto sent = proxy_protocol::encode_tcp(header.source, header.destination);
  must(sent.has_value());
  const auto back = proxy_protocol::parse(*sent);
  must(back && *back && (*back)->size == sent->size() && !(*back)->local);
  must((*back)->source == header.source && (*back)->destination == header.destination);
}

/// As if it arrived byte by byte: the first verdict that is not "more" is that on the whole.
void check_in_pieces(ByteSpan input) {
  const auto whole = proxy_protocol::parse(input);
  for (std::size_t n = 0; n <= input.size(); ++n) {
    const auto part = proxy_protocol::parse(input.first(n));
    must(!part || *part || n < proxy_protocol::kMaxHeader);
    must(part || !part.error().field.empty());
    if (part && !*part) continue;
    must(whole.has_value() == part.has_value());
    return must(!part || (*whole && same(**whole, **part)));
  }
  must(whole && !*whole);
}

void check_network(std::string_view text) {
  const auto network = IpNetwork::parse(text);
  if (!network) return must(!network.error().message.empty());
  must(network->base().contains(network->address));
  must(IpNetwork::parse(network->base().text()) == network->base());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteSpan input(reinterpret_cast<const std::byte*>(data), size);
  check_in_pieces(input);
  if (const auto parsed = proxy_protocol::parse(input); parsed && *parsed) check(**parsed, input);
  check_network(as_text(input));
  return 0;
}
