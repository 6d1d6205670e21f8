// The configuration parser, on any bytes: problems or a configuration, and nothing else. A NUL byte
// separates files; the last of them is also what every PEM file holds.
#include <cstdlib>

#include "common/base/units.h"
#include "master/config/diff.h"
#include "master/config/load.h"
#include "master/config/parse.h"

namespace {

using namespace sluice;

void require(bool holds) {
  if (!holds) std::abort();
}

Result<config::SecretFile> read_secret(const std::string& path) {
  if (path.size() % 3 == 0) return fail(Errc::not_found, path);
  return config::SecretFile{Secret("a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=\n"), true};
}

void check_units(std::string_view text) {
  if (const auto duration = parse_duration(text))
    require(parse_duration(format_duration(*duration)) == *duration);
  if (const auto size = parse_size(text)) require(parse_size(format_size(*size)) == *size);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  check_units(text);

  config::Inputs inputs{.directory = "/etc/sluice",
                        .credentials = "/run/credentials",
                        .read_secret = read_secret,
                        .now_s = 1'800'000'000};
  inputs.read_pem = [&inputs](const std::string&) -> Result<config::SecretFile> {
    return config::SecretFile{Secret(inputs.sources.back().text), true};
  };
  for (bool more = true; more && inputs.sources.size() < 4;) {
    const auto end = text.find('\0');
    more = end != std::string_view::npos;
    inputs.sources.push_back({"sluice.toml", std::string(text.substr(0, end)), true});
    if (more) text.remove_prefix(end + 1);
  }
  const auto parsed = config::parse(inputs);
  for (const auto& problem : parsed.problems) require(!config::render(problem).empty());
  const auto back = ipc::decode<ipc::ParsedConfig>(ipc::encode(parsed));
  require(back && back->config == parsed.config);
  require(config::diff(parsed.config, back->config).empty());
  return 0;
}
