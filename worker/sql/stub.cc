#include "worker/sql/classify.h"
namespace sluice::sql {
Statement classify(std::string_view text, const Mode&) {
  Statement s;
  auto low = std::string(text.substr(0, 200));
  for (auto& c : low) c = static_cast<char>(std::tolower(c));
  if (low.starts_with("select") && low.find("@") == std::string::npos && low.find("for update") == std::string::npos) { s.need = Need::Read; s.reason = Reason::Read; }
  if (low.starts_with("create temporary")) s.effects |= Effect::CreatesTemporaryTable;
  if (low.starts_with("call")) s.effects |= Effect::RunsProgram;
  return s;
}
bool is_server_schema(std::string_view d) { return d == "mysql"; }
Charset charset_of(std::string_view) { return Charset::Utf8; }
Charset charset_of_collation(uint16_t) { return Charset::Utf8; }
}
