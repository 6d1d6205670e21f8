#include "master/upgrade.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>

#include <array>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "master/succession.h"

namespace sluice::master {
namespace {

constexpr int64_t kTrialNs = 10 * kSecondNs;
constexpr int kNotStarted = 127;  // master/child.cc, and the dynamic linker

}  // namespace

void Upgrade::begin() {
  verdict_.reset();
  late_ = false;
  auto next = state_.programs.open_anew();
  if (!next) return user_.on_upgrade_refused(next.error().message);
  next_ = std::move(*next);
  if (auto ok = start_trial(); !ok) user_.on_upgrade_refused(ok.error().message);
}

inheritance::Master Upgrade::snapshot() const {
  auto all = user_.export_();
  all.programs = next_.export_();
  return all;
}

Result<> Upgrade::start_trial() {
  const auto state = SLUICE_TRY(inheritance::write(snapshot()));
  auto arguments = state_.arguments;
  arguments.emplace_back(kTrialOption);
  trial_ = SLUICE_TRY(
      Child::start(*this, loop_, ipc::Role::trial, next_.self.get(), std::move(arguments)));
  trial_->deadline_ns = monotonic_ns() + kTrialNs;
  trial_->send(ipc::StateOffer{}, std::array{state.get()});
  return {};
}

Result<> Upgrade::on_frame(Child& child, ipc::Frame frame) {
  static constexpr auto kTable =
      std::to_array<ipc::Handler<Upgrade>>({ipc::on<&Upgrade::on_state_verdict>()});
  return ipc::dispatch<Upgrade>(*this, kTable, child.role(), child.phase(), std::move(frame));
}

Result<> Upgrade::on_state_verdict(ipc::StateVerdict message) {
  verdict_ = std::move(message);
  return {};
}

void Upgrade::on_channel_lost(Child& child) {
  if (!trial_) return;           // given up
  ::kill(child.pid(), SIGKILL);  // it is ending: its end of the channel is closed
  int status = 0;
  ::waitpid(child.pid(), &status, 0);
  const auto good = judge_trial(status);
  const auto release = child.release();
  dead_.push_back(std::move(trial_));
  if (good)
    log::notice("upgrade", "the new program takes over", log::kv("program", next_.path),
                log::kv("release", release));
  const auto why = good ? replace_us().message : good.error().message;
  auto text = fmt::format("{} can't take over: {}", next_.path, why);
  next_ = {};
  user_.on_upgrade_refused(std::move(text));
}

/// Whether the trial went well. `status`: of waitpid(2).
Result<> Upgrade::judge_trial(int status) const {
  const auto refuse = [](std::string why) { return fail(Errc::denied, std::move(why)); };
  if (late_) return refuse(fmt::format("no answer within {} s", kTrialNs / kSecondNs));
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNotStarted && !trial_->greeted())
    return refuse(
        "it can't be started: it is no program for this machine, or a library is missing");
  if (verdict_ && !verdict_->error.empty()) return refuse(verdict_->error);
  if (WIFSIGNALED(status)) return refuse(fmt::format("it died of signal {}", WTERMSIG(status)));
  if (WEXITSTATUS(status) != 0)
    return refuse(fmt::format("it ended with exit code {}", WEXITSTATUS(status)));
  if (!verdict_) return refuse("it ended without an answer");
  return {};
}

/// Does not return unless it fails.
Error Upgrade::replace_us() {
  const auto all = snapshot();
  const auto state = inheritance::write(all);
  if (!state) return state.error();
  auto fds = inheritance::fds_of(all);
  fds.push_back(state->get());
  mark(fds, OverExec::keep);
  auto error = become(next_.self.get(), state_.arguments,
                      {.state_fd = state->get(), .return_to = all.previous.self.number});
  mark(fds, OverExec::close);
  return error;
}

void Upgrade::stop() {
  if (!trial_) return;
  ::kill(trial_->pid(), SIGKILL);
  ::waitpid(trial_->pid(), nullptr, 0);
  dead_.push_back(std::move(trial_));
}

void Upgrade::tick() {
  dead_.clear();
  if (!trial_ || late_ || monotonic_ns() < trial_->deadline_ns) return;
  late_ = true;
  trial_->kill("the new program does not answer");
}

}  // namespace sluice::master
