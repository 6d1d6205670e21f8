#include "master/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/version.h"

namespace sluice::master {
namespace {

constexpr int kChannelFd = 3;  // common/process/master_link.h, kChannelFd

/// Runs in the new process, between fork and exec: async-signal-safe calls alone.
[[noreturn]] void become(int program_fd, int channel_fd, char* const argv[], char* const envp[]) {
  ::setpgid(0, 0);  // a terminal's signals are for the master
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  // Both fds move out of the way first: one of them could be the other's place.
  const int program = ::fcntl(program_fd, F_DUPFD, 10);
  const int channel = ::fcntl(channel_fd, F_DUPFD, 11);
  if (program < 0 || channel < 0 || ::dup2(channel, kChannelFd) < 0) ::_exit(127);
  // fd 4 is the program, for fexecve; everything else is closed or closes with the exec.
  if (::dup2(program, kChannelFd + 1) < 0) ::_exit(127);
  ::close_range(kChannelFd + 2, ~0U, 0);
  ::fcntl(kChannelFd + 1, F_SETFD, FD_CLOEXEC);
  if (::chdir("/") != 0) ::_exit(127);
  ::fexecve(kChannelFd + 1, argv, envp);
  ::_exit(127);
}

/// What of our environment a child gets: what sanitizers need, and where systemd put credentials.
std::vector<std::string> child_environment() {
  std::vector<std::string> out{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"};
  for (const char* name :
       {"ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS", "CREDENTIALS_DIRECTORY"})
    if (const char* value = ::getenv(name)) out.push_back(fmt::format("{}={}", name, value));
  return out;
}

}  // namespace

Result<std::unique_ptr<Child>> Child::start(ChildOwner& owner, event::Loop& loop, ipc::Role role,
                                            int program_fd, std::vector<std::string> arguments) {
  auto [ours, theirs] = SLUICE_TRY(ipc::Channel::pair());
  auto environment = child_environment();
  std::vector<char*> envp;
  for (auto& entry : environment) envp.push_back(entry.data());
  envp.push_back(nullptr);
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const auto& name = arguments[0];

  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno(fmt::format("fork for {}", name));
  if (pid == 0) become(program_fd, theirs.get(), argv.data(), envp.data());
  std::unique_ptr<Child> child(
      new Child(owner, role, pid, ipc::Channel(std::move(ours)), fmt::format("{}[{}]", name, pid)));
  SLUICE_TRY(child->attend(loop));
  child->send(ipc::Hello{.role = ipc::Role::master, .release = std::string(kRelease)});
  return child;
}

std::unique_ptr<Child> Child::import_(ChildOwner& owner, inheritance::Child from) {
  std::unique_ptr<Child> child(new Child(owner, from.role, from.pid,
                                         inheritance::import_(std::move(from.channel)),
                                         std::move(from.name)));
  child->release_ = std::move(from.release);
  child->phase_ = static_cast<ipc::Phase>(from.phase);
  child->greeted_ = from.greeted;
  child->killed_ = from.killed;
  child->pings_ = from.pings;
  child->last_answer_ns_ = from.last_answer_ns;
  child->generation = from.generation;
  child->slot = from.slot;
  child->lane = from.lane;
  child->number = from.number;
  child->started_ns = from.started_ns;
  child->deadline_ns = from.deadline_ns;
  child->stopped = from.stopped;
  child->finishing = from.finishing;
  child->done = from.done;
  child->last_error = std::move(from.last_error);
  child->sandbox = std::move(from.sandbox);
  return child;
}

Result<> Child::attend(event::Loop& loop) {
  SLUICE_TRY((watch_.start<&Child::on_ready>(loop, channel_.fd(), event::kRead, this)));
  update_interest();
  return {};
}

inheritance::Child Child::export_() const {
  return {.role = role_,
          .pid = pid_,
          .channel = inheritance::export_(channel_),
          .name = name_,
          .release = release_,
          .phase = phase_,
          .greeted = greeted_,
          .killed = killed_,
          .pings = pings_,
          .last_answer_ns = last_answer_ns_,
          .generation = generation,
          .slot = slot,
          .lane = lane,
          .number = number,
          .started_ns = started_ns,
          .deadline_ns = deadline_ns,
          .stopped = stopped,
          .finishing = finishing,
          .done = done,
          .last_error = last_error,
          .sandbox = sandbox};
}

Child::Child(ChildOwner& owner, ipc::Role role, pid_t pid, ipc::Channel channel, std::string name)
    : owner_(owner), role_(role), pid_(pid), channel_(std::move(channel)), name_(std::move(name)) {
  started_ns = last_answer_ns_ = monotonic_ns();
}

Child::~Child() = default;

void Child::on_ready(event::Bits what) {
  if (what & event::kWrite) {
    if (!channel_.flush()) return lose();
  }
  if (what & event::kRead) return receive();
  update_interest();
}

/// One frame a turn: a child that talks much must not starve the others.
void Child::receive() {
  auto frame = channel_.receive();
  if (!frame) {
    if (frame.error().code == Errc::ipc_protocol)
      kill(fmt::format("it broke the rules of the channel: {}", frame.error().message));
    return lose();
  }
  if (*frame) {
    if (auto ok = take(std::move(**frame)); !ok) {
      kill(fmt::format("it broke the rules of the channel: {}", ok.error().message));
      return lose();
    }
  }
  if (!lost_) update_interest();
}

Result<> Child::take(ipc::Frame frame) {
  if (!greeted_) {
    if (frame.id != ipc::Declared<ipc::Hello>::kId || !frame.fds.empty())
      return fail(Errc::ipc_protocol, "no greeting");
    const auto hello = ipc::decode<ipc::Hello>(frame.body);
    if (!hello || hello->role != role_ || hello->protocol != ipc::kProtocolVersion)
      return fail(Errc::ipc_protocol, "not a child of this protocol and role");
    greeted_ = true;
    release_ = hello->release;
    return {};
  }
  if (frame.id == ipc::Declared<ipc::Pong>::kId) {
    const auto pong = ipc::decode<ipc::Pong>(frame.body);
    if (!pong || pong->number > pings_ || !frame.fds.empty())
      return fail(Errc::ipc_protocol, "Pong: never asked");
    last_answer_ns_ = monotonic_ns();
    return {};
  }
  return owner_.on_frame(*this, std::move(frame));
}

void Child::kill(std::string_view why) {
  if (std::exchange(killed_, true)) return;
  log::error("child", "killed", log::kv("process", name_), log::kv("reason", why));
  ::kill(pid_, SIGKILL);
}

void Child::kill_for_call(std::string_view call) {
  if (std::exchange(killed_, true)) return;
  log::error("child", "killed by the sandbox", log::kv("process", name_), log::kv("call", call));
  ::kill(pid_, SIGKILL);
}

void Child::ignore() {
  lost_ = true;
  watch_.stop();
}

void Child::ping() {
  send(ipc::Ping{++pings_});
}

void Child::lose() {
  if (std::exchange(lost_, true)) return;
  watch_.stop();
  owner_.on_channel_lost(*this);
}

void Child::update_interest() {
  watch_.want(event::kRead | (channel_.wants_write() ? event::kWrite : 0));
}

}  // namespace sluice::master
