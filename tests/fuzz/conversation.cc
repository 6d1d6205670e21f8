// The bytes of a conversation from two hostile peers, as a list of pieces: a byte for the side and
// the form, two for the length, then the bytes. However they are cut, and wherever the state
// travels, what is known of the conversation is the same.
#include <cstdlib>

#include "common/mysql/conversation.h"

namespace {

using namespace sluice;

void must(bool holds) {
  if (!holds) std::abort();
}

/// A conversation, and what of the client's bytes is too short yet to be told.
struct Followed {
  mysql::Conversation talk;
  Bytes held;
};

void give(Followed& to, bool server, ByteSpan bytes) {
  if (server) return to.talk.from_server(bytes);
  to.held.insert(to.held.end(), bytes.begin(), bytes.end());
  for (;;) {
    const auto taken = to.talk.from_client(to.held);
    must(taken <= to.held.size());
    to.held.erase(to.held.begin(), to.held.begin() + static_cast<std::ptrdiff_t>(taken));
    if (to.held.size() <= mysql::kHeaderSize) return;
    must(to.held[mysql::kHeaderSize] == std::byte{0x11});  // stops for nothing else
    to.held[mysql::kHeaderSize] = std::byte{0x0E};
  }
}

void travel(mysql::Conversation& conversation) {
  const auto bytes = ipc::encode(conversation);
  const auto back = ipc::decode<mysql::Conversation>(bytes);
  must(back && ipc::encode(*back) == bytes);
  conversation = *back;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ByteReader in({reinterpret_cast<const std::byte*>(data), size});
  Followed whole, cut;
  whole.talk.capabilities = cut.talk.capabilities = in.fixed<uint64_t>("capabilities").value_or(0);
  while (!in.done()) {
    const auto form = in.fixed<uint8_t>("form").value_or(0);
    const auto wanted = in.fixed<uint16_t>("length").value_or(0);
    const auto bytes = *in.bytes(std::min<std::size_t>(wanted, in.left()), "bytes");
    const bool server = form & 1;
    give(whole, server, bytes);
    const auto at = bytes.empty() ? 0 : static_cast<std::size_t>(form >> 2) % bytes.size();
    give(cut, server, bytes.first(at));
    travel(cut.talk);
    give(cut, server, bytes.subspan(at));
    must(whole.talk.expect == cut.talk.expect && whole.held == cut.held);
    must(whole.talk.at_boundary() == cut.talk.at_boundary());
    must(whole.talk.commands == cut.talk.commands);
    must(whole.talk.server_sequence == cut.talk.server_sequence);
    must(whole.talk.pending_count <= mysql::Conversation::kMaxPending);
  }
  return 0;
}
