#include "master/ctl/run.h"

#include <fmt/format.h>
#include <unistd.h>

#include "common/base/version.h"
#include "common/control/commands.h"
#include "master/ctl/client.h"
#include "master/ctl/encrypt.h"
#include "master/ctl/escape.h"
#include "master/ctl/render.h"

namespace sluice::ctl {
namespace {

std::string general_help() {
  return fmt::format(
      "usage: sluicectl [--socket PATH] [--json] [COMMAND]\n"
      "\n"
      "{}\n"
      "Without a command: a prompt. --socket or SLUICE_SOCKET names the control socket\n"
      "(default {}).\n",
      control::help_text(), kDefaultSocket);
}

Outcome help(std::span<const std::string> topic) {
  if (topic.empty()) return {kDone, general_help(), ""};
  return {kDone, control::help_text(topic.front()), ""};
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const auto n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace

Result<CommandLine> parse_command_line(std::span<const std::string> arguments,
                                       CommandLine defaults) {
  CommandLine out = std::move(defaults);
  constexpr std::string_view kSocketIs = "--socket=";
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word == "--") {  // stays in the words: control::understand() wants to know too
      out.words.insert(out.words.end(), arguments.begin() + static_cast<std::ptrdiff_t>(i),
                       arguments.end());
      break;
    }
    if (word == "--json") {
      out.json = true;
    } else if (word == "--help" || word == "-h") {
      out.help = true;
    } else if (word == "--version" || word == "-V") {
      out.version = true;
    } else if (word.starts_with(kSocketIs)) {
      out.socket = word.substr(kSocketIs.size());
    } else if (word == "--socket") {
      if (++i == arguments.size()) return fail(Errc::bad_input, "--socket needs a PATH");
      out.socket = arguments[i];
    } else if (out.words.empty() && word.size() > 1 && word.starts_with('-')) {
      return fail(Errc::bad_input,
                  fmt::format("unknown option \"{}\"\nusage: sluicectl [--socket PATH] [--json] "
                              "[COMMAND]",
                              word));
    } else {
      out.words.push_back(word);
    }
  }
  return out;
}

Outcome run(const CommandLine& line) {
  if (line.version) return {kDone, fmt::format("sluicectl {}\n", kRelease), ""};
  if (line.help) return {kDone, general_help(), ""};
  const auto invocation = control::understand(line.words);
  if (!invocation) return failure(kUsage, invocation.error().message);
  const control::Command& command = *invocation->command;
  if (command.words == "help") return help(invocation->arguments);
  if (command.words == "encrypt") return encrypt();

  const ipc::ControlRequest request{std::string(command.words), invocation->arguments};
  const auto reply = ask(line.socket, request, std::chrono::seconds(command.patience_s));
  if (!reply) return failure(kRefused, reply.error().message);
  if (!reply->error.empty()) return failure(kRefused, reply->error);
  return {kDone, line.json ? to_json(*reply) : to_text(*reply), ""};
}

int print(const Outcome& outcome) {
  write_all(STDERR_FILENO, outcome.err);  // nobody is left to be told of a failure here
  if (write_all(STDOUT_FILENO, outcome.out)) return outcome.exit;
  write_all(STDERR_FILENO,
            fmt::format("sluicectl: can't write the output: {}\n", std::strerror(errno)));
  return kRefused;
}

Outcome failure(int exit, const std::string& reason) {
  return {exit, "", fmt::format("sluicectl: {}\n", printable(reason, LineFeeds::keep))};
}

}  // namespace sluice::ctl
