#include "master/succession.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <unistd.h>

#include <algorithm>

#include "common/base/version.h"
#include "common/process/master_link.h"
#include "master/inheritance.h"
#include "master/master.h"

namespace sluice::master {
namespace {

constexpr int kFirstFd = 3;  // behind standard input, output and error
constexpr int kPatienceMs = 10'000;

/// Whatever else the program of before had open is none of ours.
void close_others(std::vector<int> kept) {
  std::ranges::sort(kept);
  unsigned next = kFirstFd;
  for (const int fd : kept) {
    if (fd < kFirstFd) continue;
    const auto number = static_cast<unsigned>(fd);
    if (number > next) ::close_range(next, number - 1, 0);
    next = number + 1;
  }
  ::close_range(next, ~0U, 0);
}

/// Nothing has been touched yet that the program of before could not go on with.
int go_back(const Succession& how, const std::vector<std::string>& arguments, std::string why) {
  if (how.return_to >= 0)
    why +=
        "; " + become(how.return_to, arguments, {.state_fd = how.state_fd, .trouble = why}).message;
  fmt::print(stderr, "sluiced: the upgrade has failed, and there is no way back: {}\n", why);
  return EX_SOFTWARE;
}

/// The next message of the master that we are tried out by; nothing if none comes.
std::optional<ipc::Frame> next_frame(ipc::Channel& channel) {
  for (;;) {
    auto frame = channel.receive();
    if (!frame) return std::nullopt;
    if (*frame) return std::move(*frame);
    pollfd ready{channel.fd(), POLLIN, 0};
    if (::poll(&ready, 1, kPatienceMs) == 0) return std::nullopt;
  }
}

}  // namespace

std::vector<std::string> own_arguments(std::span<const char* const> argv) {
  std::vector<std::string> out(argv.begin(), argv.end());
  out.erase(std::ranges::find(out, kInheritOption), out.end());
  return out;
}

UniqueFd trial_channel() {
  return UniqueFd(::fcntl(process::kChannelFd, F_DUPFD_CLOEXEC, kFirstFd));
}

void mark(std::span<const int> fds, OverExec what) {
  for (const int fd : fds) ::fcntl(fd, F_SETFD, what == OverExec::keep ? 0 : FD_CLOEXEC);
}

Error become(int program_fd, std::vector<std::string> arguments, const Succession& how) {
  const auto add = [&arguments](const char* option, std::string value) {
    arguments.insert(arguments.end(), {option, std::move(value)});
  };
  add(kInheritOption, std::to_string(how.state_fd));
  if (how.return_to >= 0) add(kReturnOption, std::to_string(how.return_to));
  if (!how.trouble.empty()) add(kTroubleOption, how.trouble);
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  ::fexecve(program_fd, argv.data(), environ);
  return fail_errno("start the program").value();
}

int succeed(const Succession& how, const std::vector<std::string>& arguments) {
  ::prctl(PR_SET_NAME, "sluiced");  // the kernel named us after the fd of our program
  auto left = inheritance::read(how.state_fd);
  if (!left) return go_back(how, arguments, left.error().message);
  auto fds = inheritance::fds_of(*left);
  fds.push_back(how.state_fd);
  close_others(fds);

  State state;
  state.arguments = arguments;
  state.programs = Programs::import_(left->programs);
  state.previous = Programs::import_(left->previous);
  if (!how.trouble.empty()) state.programs = std::exchange(state.previous, {});
  auto loop = event::Loop::create();
  if (!loop) return go_back(how, arguments, loop.error().message);
  if (auto ok = state.import_(std::move(left->state)); !ok)
    return go_back(how, arguments, ok.error().message);
  const auto release = left->format.release;
  Master master(*loop, std::move(state), -1);
  master.state().log.take_over();
  if (auto ok = master.import_(std::move(*left)); !ok)
    return go_back(how, arguments, ok.error().message);
  mark(fds, OverExec::close);
  ::close(how.state_fd);
  const int code = master.go_on(release, how.trouble);
  log::set_sink(nullptr, nullptr);
  return code;
}

int try_state() {
  ipc::Channel channel{trial_channel()};
  if (!channel.send(ipc::Hello{.role = ipc::Role::trial, .release = std::string(kRelease)}))
    return EX_SOFTWARE;
  for (auto frame = next_frame(channel); frame; frame = next_frame(channel)) {
    if (frame->id != ipc::Declared<ipc::StateOffer>::kId || frame->fds.size() != 1) continue;
    const auto left = inheritance::read(frame->fds[0].get());
    const auto told = channel.send(ipc::StateVerdict{left ? "" : left.error().message});
    return told ? EX_OK : EX_SOFTWARE;
  }
  return EX_SOFTWARE;
}

}  // namespace sluice::master
