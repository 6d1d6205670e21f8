#include "master/master.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/units.h"
#include "common/base/version.h"
#include "master/notify.h"

namespace sluice::master {

Master::Master(event::Loop& loop, State state, int background_fd)
    : loop_(loop),
      state_(std::move(state)),
      supervisor_(loop, state_, *this),
      rollout_(loop, state_, supervisor_, *this),
      upgrade_(loop, state_, *this),
      control_(loop, *this),
      background_fd_(background_fd) {}

int Master::run() {
  watch_signals();
  rollout_.request(Rollout::Kind::roll, 0);
  return serve();
}

int Master::go_on(const std::string& release, const std::string& trouble) {
  watch_signals();
  supervisor_.reap();  // who has ended since
  if (trouble.empty()) {
    log::notice("upgrade", "the master goes on with a new program", log::kv("before", release),
                log::kv("release", kRelease));
    rollout_.roll_programs(release);
  } else {
    rollout_.refuse_upgrade("the new program could not go on, and had to give way again: " +
                            trouble);
  }
  return serve();
}

inheritance::Master Master::export_() const {
  return {.format = inheritance::own_format(),
          .previous = state_.programs.export_(),
          .state = state_.export_(),
          .supervisor = supervisor_.export_(),
          .rollout = rollout_.export_(),
          .control = control_.export_(),
          .expiry_due_ns = expiry_.export_()};
}

Result<> Master::import_(inheritance::Master from) {
  SLUICE_TRY(supervisor_.import_(std::move(from.supervisor)));
  rollout_.import_(std::move(from.rollout));
  expiry_.import_(from.expiry_due_ns);
  return control_.import_(std::move(from.control));
}

/// Those that came during an exec are still pending: they have been blocked all the time.
void Master::watch_signals() {
  ::signal(SIGPIPE, SIG_IGN);
  hangup_.start<&Master::on_hangup>(loop_, SIGHUP, this);
  terminate_.start<&Master::on_terminate>(loop_, SIGTERM, this);
  interrupt_.start<&Master::on_terminate>(loop_, SIGINT, this);
  quit_.start<&Master::on_quit>(loop_, SIGQUIT, this);
  child_.start<&Master::on_child>(loop_, SIGCHLD, this);
  user_signal_.start<&Master::on_upgrade_signal>(loop_, SIGUSR2, this);
}

int Master::serve() {
  tick_.every<&Master::on_tick>(loop_, std::chrono::seconds(1), this);
  loop_.run();
  state_.listeners.close_all();
  control_.close();
  return exit_code_;
}

Result<> Master::on_first_config(const config::Config& config) {
  SLUICE_TRY(state_.log.open(config.sluice.log));
  if (background_fd_ < 0) return {};
  // Who started us may wait for the end of our output. The children inherit what is set here.
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  ::dup2(null.get(), STDOUT_FILENO);
  if (config.sluice.log.target != config::LogTarget::stderr_) ::dup2(null.get(), STDERR_FILENO);
  return {};
}

void Master::on_commit(const config::Config& before) {
  const auto& now = state_.config.sluice;
  if (rollout_.kind() == Rollout::Kind::roll) expiry_.put_off(monotonic_ns());
  if (state_.generation > 1 && before.sluice.log != now.log) {
    if (auto ok = state_.log.open(now.log); !ok)
      log::error("log", "the old target stays", log::kv("error", ok.error().message));
  }
  if (state_.generation > 1 && rollout_.kind() == Rollout::Kind::roll) {  // whatever was commanded
    log::set_level(now.log.level);
    supervisor_.set_log_level(now.log.level);
  }
  if (auto socket = rollout_.take_control_socket(); socket.fd)
    control_.listen(std::move(socket), now.control_socket);
  if (state_.generation == 1) {
    log::notice("sluiced", "starts", log::kv("release", kRelease),
                log::kv("config", state_.config_path), log::kv("pid", ::getpid()));
  }
}

void Master::on_outcome(const Outcome& outcome, const std::vector<uint64_t>& requests) {
  control_.on_outcome(outcome, requests);
  if (state_.generation == 0) {  // the first start
    tell_starter(outcome.text + "\n", outcome.config_error ? EX_CONFIG : EX_UNAVAILABLE);
    return leave(outcome.config_error ? EX_CONFIG : EX_UNAVAILABLE);
  }
  if (leaving_ || rollout_.kind() == Rollout::Kind::dry_run) return;
  notify_service_manager(fmt::format(
      "READY=1\nSTATUS=generation {}: serving{}", state_.generation,
      outcome.done ? "" : fmt::format("; the last {} failed", enum_name(rollout_.kind()))));
  tell_starter("", 0);
}

/// The process that was started by hand waits to say how the start went.
void Master::tell_starter(std::string_view text, int code) {
  if (background_fd_ < 0) {
    if (code != 0) fmt::print(stderr, "sluiced: {}", text);
    return;
  }
  const auto line = fmt::format("{}\n{}", code, text);
  (void)!::write(background_fd_, line.data(), line.size());
  ::close(std::exchange(background_fd_, -1));
}

void Master::on_hangup(int) {
  if (!leaving_) rollout_.request(Rollout::Kind::roll, 0);
}

void Master::on_upgrade_signal(int) {
  if (!leaving_) rollout_.request(Rollout::Kind::upgrade, 0);
}

void Master::on_reload() {
  const auto* what = rollout_.kind() == Rollout::Kind::upgrade ? "upgrading" : "reloading";
  notify_service_manager(
      fmt::format("RELOADING=1\nMONOTONIC_USEC={}\nSTATUS={}", monotonic_ns() / 1000, what));
}

void Master::on_terminate(int) {
  if (leaving_) return on_quit(0);
  leaving_ = true;
  log::notice("sluiced", "ends: sessions finish what they are doing");
  notify_service_manager("STOPPING=1");
  rollout_.stop();
  upgrade_.stop();
  for (const auto& [address, listening] : state_.listeners.all()) Listeners::refuse_new(listening);
  supervisor_.finish(
      "sluice is shutting down; please connect again",
      monotonic_ns() + int64_t{state_.config.sluice.drain_timeout_ms} * kMillisecondNs);
}

void Master::on_quit(int) {
  log::notice("sluiced", "ends at once");
  notify_service_manager("STOPPING=1");
  supervisor_.kill_all();
  leave(0);
}

void Master::on_worker_stopped() {
  // Statements may take minutes to end: who comes meanwhile is refused, not left to wait.
  if (leaving_ && !supervisor_.stopping()) return state_.listeners.close_all();
  rollout_.on_worker_stopped();
}

void Master::on_all_gone() {
  if (!leaving_) return;
  log::notice("sluiced", "has ended");
  leave(0);
}

void Master::on_overgrown(const Child& worker) {
  if (leaving_) return;
  log::notice("child", "has grown too large: the workers are replaced",
              log::kv("process", worker.name()), log::kv("memory", format_size(worker.memory.now)),
              log::kv("limit", format_size(state_.config.sluice.max_worker_memory)));
  rollout_.request(Rollout::Kind::replace, 0);
}

void Master::leave(int code) {
  leaving_ = true;
  exit_code_ = code;
  supervisor_.kill_all();
  loop_.stop();
}

void Master::on_child(int) {
  supervisor_.reap();
}

void Master::on_tick() {
  supervisor_.tick();
  rollout_.tick();
  upgrade_.tick();
  control_.tick();
  expiry_.tick(state_.config, monotonic_ns(), wall_clock_s());
  static const bool watched = is_watched();
  if (watched) notify_service_manager("WATCHDOG=1");
}

}  // namespace sluice::master
