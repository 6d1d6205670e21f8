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

void give(mysql::Conversation& to, bool server, ByteSpan bytes) {
  if (server) return to.from_server(bytes);
  must(to.from_client(bytes) == bytes.size());
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
  mysql::Conversation whole, cut;
  whole.capabilities = cut.capabilities = in.fixed<uint64_t>("capabilities").value_or(0);
  while (!in.done()) {
    const auto form = in.fixed<uint8_t>("form").value_or(0);
    const auto wanted = in.fixed<uint16_t>("length").value_or(0);
    const auto bytes = *in.bytes(std::min<std::size_t>(wanted, in.left()), "bytes");
    const bool server = form & 1;
    if ((form & 2) && !server) {  // never past the command that it is to stop at
      auto stopping = whole;
      must(stopping.from_client(bytes, mysql::Command::change_user) <= bytes.size());
    }
    give(whole, server, bytes);
    const auto at = bytes.empty() ? 0 : static_cast<std::size_t>(form >> 2) % bytes.size();
    give(cut, server, bytes.first(at));
    travel(cut);
    give(cut, server, bytes.subspan(at));
    must(whole.expect == cut.expect && whole.at_boundary() == cut.at_boundary());
    must(whole.commands == cut.commands && whole.server_sequence == cut.server_sequence);
    must(whole.pending_count <= mysql::Conversation::kMaxPending);
  }
  return 0;
}
