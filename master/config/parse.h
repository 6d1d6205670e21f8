// From texts to a checked configuration. Pure: what it needs from outside is in Inputs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/ipc/messages.h"
#include "master/config/secrets.h"
#include "master/config/tls_judge.h"

namespace sluice::config {

/// One file of the configuration.
struct Source {
  std::string name;  ///< for messages
  std::string text;
  bool others_can_read = false;  ///< clear passwords in it deserve a warning
  std::string error{};           ///< why it could not be read; then there is no text
};

/// What a configuration is read for. Credentials of systemd exist for the service's own processes
/// alone (not even for what ExecReload= runs, up to systemd 252 at least): who only judges goes
/// without them.
enum class Purpose : uint8_t { use, judge };

struct Inputs {
  std::vector<Source> sources;  ///< at least one; the main file first
  std::string directory;        ///< where relative paths begin
  std::string credentials;      ///< $CREDENTIALS_DIRECTORY; empty: systemd gave none
  ReadSecret read_secret;
  ReadSecret read_pem;
  int64_t now_s = 0;  ///< seconds since the epoch: certificates expire
  Purpose purpose = Purpose::use;
  JudgeTls judge_tls{};  ///< empty: what only a library of TLS knows is not judged
};

/// Merges the files, fills the structs and checks them. Never fails otherwise than by problems;
/// with errors among them, the configuration is what could be understood.
ipc::ParsedConfig parse(const Inputs& inputs);

/// What to write who has written nothing yet.
extern const std::string_view kMinimalConfiguration;

}  // namespace sluice::config
