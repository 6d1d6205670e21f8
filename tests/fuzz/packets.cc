// The packets of the connection phase as hostile bytes. The first byte chooses the parser. What a
// parser takes must lie inside its input, and a greeting that was read is the same when it was
// written and read again.
#include <cstdlib>

#include "common/mysql/packets.h"

namespace {

using namespace sluice;

void must(bool holds) {
  if (!holds) std::abort();
}

void must_lie_in(ByteSpan input, std::string_view part) {
  if (part.empty()) return;
  const auto whole = as_text(input);
  must(part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void greeting(ByteSpan input) {
  const auto g = mysql::parse_greeting(input);
  if (!g) return must(!g.error().field.empty() && g.error().offset <= input.size());
  const auto bytes = mysql::encode_greeting(*g);
  const auto back = mysql::parse_greeting(bytes);
  must(back && back->version == g->version && back->connection_id == g->connection_id);
  must(back->scramble == g->scramble && back->capabilities == g->capabilities);
  must(back->plugin == g->plugin && mysql::encode_greeting(*back) == bytes);
}

void handshake_response(ByteSpan input) {
  (void)mysql::is_ssl_request(input);
  const auto r = mysql::parse_handshake_response(input);
  if (!r) return must(!r.error().field.empty() && r.error().offset <= input.size());
  for (const auto part : {r->user, r->database, r->plugin, as_text(r->auth_response)})
    must_lie_in(input, part);
}

void change_user(ByteSpan input, uint64_t capabilities) {
  const auto c = mysql::parse_change_user(input, capabilities);
  if (!c) return must(!c.error().field.empty());
  must_lie_in(input, c->user);
  must_lie_in(input, c->database);
}

void error(ByteSpan input) {
  const auto e = mysql::parse_error(input);
  if (!e) return must(!e.error().field.empty());
  must_lie_in(input, e->message);
  const auto again =
      mysql::encode_error(e->number, e->state.empty() ? "HY000" : e->state, e->message);
  must(mysql::parse_error(again)->number == e->number);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const ByteSpan input(reinterpret_cast<const std::byte*>(data + 1), size - 1);
  switch (data[0] % 5) {
    case 0:
      greeting(input);
      break;
    case 1:
      handshake_response(input);
      break;
    case 2:
      change_user(input, 0);
      break;
    case 3:
      change_user(input, mysql::kSecureConnection);
      break;
    default:
      error(input);
  }
  return 0;
}
