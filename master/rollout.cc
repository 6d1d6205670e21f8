#include "master/rollout.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/version.h"
#include "master/config/diff.h"
#include "master/config/load.h"

namespace sluice::master {
namespace {

constexpr int kAttempts = 3;  // of a slot behind the first, whose configuration has been proved
constexpr int64_t kParseNs = 30 * kSecondNs;
constexpr int64_t kClosingNs = 5 * kSecondNs;  // of a worker that dies, and its successors

std::string render_all(const std::vector<ipc::Problem>& problems) {
  std::string out;
  for (const auto& problem : problems) out += (out.empty() ? "" : "\n") + config::render(problem);
  return out;
}

void log_problems(const std::vector<ipc::Problem>& problems) {
  for (const auto& problem : problems) {
    const auto where = fmt::format("{}:{}:{}", problem.file, problem.line, problem.column);
    const auto level = problem.warning ? log::Level::warning : log::Level::error;
    if (log::level() < level) continue;
    log::write(level, "config", problem.text,
               {log::kv("at", where), log::kv("key", problem.key), log::kv("hint", problem.hint)});
  }
}

ipc::Table table_of(const std::vector<config::Change>& changes) {
  ipc::Table table;
  table.columns = {{"change", ipc::Kind::text},
                   {"what", ipc::Kind::text},
                   {"name", ipc::Kind::text},
                   {"detail", ipc::Kind::text}};
  static constexpr std::string_view kKinds[] = {"added", "removed", "changed"};
  for (const auto& change : changes)
    table.rows.push_back({{std::string(kKinds[static_cast<int>(change.kind)]), change.what,
                           change.name, change.detail}});
  return table;
}

}  // namespace

bool needs_new_workers(const config::Config& before, const config::Config& after) {
  return before.services != after.services || before.clusters != after.clusters ||
         worker_count(before) != worker_count(after) || before.sluice.user != after.sluice.user ||
         before.sluice.group != after.sluice.group || before.sluice.sandbox != after.sluice.sandbox;
}

void Rollout::request(Kind kind, uint64_t request) {
  waiting_.emplace_back(kind, request);
  if (step_ == Step::idle) begin();
}

/// Takes all waiting requests of one kind, oldest kind first.
void Rollout::begin() {
  if (waiting_.empty()) return;
  kind_ = waiting_.front().first;
  requests_.clear();
  std::erase_if(waiting_, [this](const auto& entry) {
    if (entry.first != kind_) return false;
    requests_.push_back(entry.second);
    return true;
  });
  committed_ = spoken_ = false;
  release_before_.clear();
  if (kind_ == Kind::upgrade) {
    step_ = Step::trying;
    log::notice("upgrade", "trying the programs that are on disk");
    user_.on_reload();
    return user_.on_upgrade();
  }
  if (kind_ == Kind::replace) return roll_as_it_is();
  step_ = Step::parsing;
  if (kind_ == Kind::roll && state_.generation > 0) {
    log::notice("reload", "reading the configuration", log::kv("file", state_.config_path));
    user_.on_reload();
  }
  std::vector<std::string> words{"sluiced", "--parse-config", state_.config_path};
  if (kind_ == Kind::roll)
    for (auto& word : arguments(wanted(state_.keys, monotonic_ns())))
      words.push_back(std::move(word));
  auto child =
      Child::start(*this, loop_, ipc::Role::parser, state_.programs.self.get(), std::move(words));
  if (!child) return end({.text = child.error().message});
  parser_ = std::move(*child);
  parser_->deadline_ns = monotonic_ns() + kParseNs;
}

Result<> Rollout::on_frame(Child& child, ipc::Frame frame) {
  static constexpr auto kTable =
      std::to_array<ipc::Handler<Rollout>>({ipc::on<&Rollout::on_parsed_config>()});
  return ipc::dispatch<Rollout>(*this, kTable, child.role(), child.phase(), std::move(frame));
}

Result<> Rollout::on_parsed_config(ipc::ParsedConfig message) {
  if (spoken_) return fail(Errc::ipc_protocol, "ParsedConfig: a second one");
  candidate_ = std::move(message);
  spoken_ = true;
  return {};
}

void Rollout::on_channel_lost(Child& child) {
  ::kill(child.pid(), SIGKILL);  // it is ending: its end of the channel is closed
  ::waitpid(child.pid(), nullptr, 0);
  dead_.push_back(std::move(parser_));
  if (step_ != Step::parsing) return;
  if (!spoken_) return end({.text = "the process that reads the configuration died"});
  parsed(std::move(candidate_));
}

void Rollout::parsed(ipc::ParsedConfig message) {
  candidate_ = std::move(message);
  const bool usable = config::usable(candidate_);
  if (state_.generation == 0) {
    const auto opened = user_.on_first_config(candidate_.config);
    if (usable && !opened) return end({.text = opened.error().message});
  }
  if (!usable) {
    log_problems(candidate_.problems);
    return end({.config_error = true, .text = render_all(candidate_.problems)});
  }
  const auto changes = config::diff(state_.config, candidate_.config);
  changes_ = table_of(changes);
  warnings_ = render_all(candidate_.problems);
  if (kind_ == Kind::dry_run) return try_out();
  log_problems(candidate_.problems);
  if (state_.generation > 0 && !incomplete_ && candidate_.config == state_.config) {
    take_keys();
    if (candidate_.keys) supervisor_.share_keys();
    return end(
        {.done = true, .text = "nothing has changed", .changes = changes_, .warnings = warnings_});
  }
  prove();
}

/// The first worker shows that the candidate can be, where that needs new workers at all.
void Rollout::prove() {
  if (auto ok = prepare(); !ok) {
    undo();
    return end({.text = of_upgrade(ok.error().message)});
  }
  if (kind_ == Kind::roll && state_.generation > 0 && !incomplete_ &&
      !needs_new_workers(state_.config, candidate_.config)) {
    commit();
    return settle();
  }
  step_ = Step::proving;
  slot_ = 0;
  const auto slots = worker_count(candidate_.config);
  supervisor_.abandon_start(0);
  if (auto ok = supervisor_.start_worker(0, candidate_.config, state_.generation + 1, slots); !ok) {
    undo();
    end({.text = of_upgrade(ok.error().message)});
  }
}

/// Nothing changes; what the reload would fail on is looked for as far as that goes.
void Rollout::try_out() {
  const auto& next = candidate_.config;
  auto obstacles = state_.listeners.obstacles(next);
  if (next.sluice.control_socket != state_.config.sluice.control_socket)
    if (const auto ok = could_bind_unix(next.sluice.control_socket, SOCK_SEQPACKET); !ok)
      obstacles.push_back(ok.error().message);
  if (!obstacles.empty()) return end({.text = fmt::format("{}", fmt::join(obstacles, "\n"))});
  end({.done = true,
       .text = changes_.rows.empty() ? "nothing would change" : "",
       .changes = changes_,
       .warnings = warnings_});
}

/// Workers that are started from here on get the keys that were made with the configuration.
void Rollout::take_keys() {
  keys_before_ = state_.keys;
  if (candidate_.keys) state_.keys = joined(state_.keys, *candidate_.keys, monotonic_ns());
}

/// Everything that can fail, before anything changes.
Result<> Rollout::prepare() {
  const auto& next = candidate_.config;
  take_keys();
  uid_before_ = std::exchange(state_.uid, candidate_.uid);
  gid_before_ = std::exchange(state_.gid, candidate_.gid);
  control_socket_ = {};
  if (state_.generation == 0 || next.sluice.control_socket != state_.config.sluice.control_socket) {
    control_socket_ = SLUICE_TRY(bind_unix(next.sluice.control_socket, SOCK_SEQPACKET, 0660));
    if (::geteuid() == 0 && ::chown(next.sluice.control_socket.c_str(), 0, candidate_.gid) != 0)
      return fail_errno("give " + next.sluice.control_socket + " to group " + next.sluice.group);
  }
  if (state_.generation > 0 && next.sluice.log != state_.config.sluice.log) {
    LogOutput probe;  // the old target stays in use until the commit
    const auto level = log::level();
    const auto opened = probe.open(next.sluice.log);
    log::set_level(level);
    SLUICE_TRY(opened);
  }
  return state_.listeners.prepare(next, worker_count(next));
}

void Rollout::undo() {
  state_.keys = std::move(keys_before_);
  state_.uid = uid_before_;
  state_.gid = gid_before_;
  state_.listeners.undo();
  if (control_socket_.fd)
    remove_unix(candidate_.config.sluice.control_socket, control_socket_.inode);
  control_socket_ = {};
}

/// From here on the new configuration is in force; nothing can fail any more that would take it
/// back.
void Rollout::commit() {
  const auto before = std::exchange(state_.config, std::move(candidate_.config));
  if (candidate_.keys) supervisor_.share_keys();
  candidate_ = {};
  ++state_.generation;
  state_.listeners.commit();
  for (const auto& cluster : state_.config.clusters) {
    const auto known = state_.clusters.find(cluster.name);
    if (known == state_.clusters.end() || !known->second.has_state) continue;
    auto holds = still_true(known->second.state, before.cluster(cluster.name), cluster);
    known->second.has_state = holds.has_value();
    known->second.state = holds ? std::move(*holds) : cluster::ClusterState{};
  }
  if (kind_ == Kind::roll) state_.reloaded_s = wall_clock_s();
  committed_ = true;
  user_.on_commit(before);
}

void Rollout::on_worker_ready(std::size_t slot) {
  if (step_ == Step::proving && slot == 0) {
    step_ = Step::rolling;
    commit();
    if (kind_ == Kind::roll) supervisor_.configure_monitor();
    log::notice(component(), "slot went over", log::kv("slot", slot),
                log::kv("generation", state_.generation));
    if (!supervisor_.stopping()) next_slot();
    return;
  }
  if (step_ == Step::closing && slot == 0) supervisor_.close_gone();
  if (step_ != Step::rolling || slot != slot_) return;
  log::notice(component(), "slot went over", log::kv("slot", slot),
              log::kv("generation", state_.generation));
  if (!supervisor_.stopping()) next_slot();
}

/// What a failure means in an upgrade, whose first step can't be taken back.
std::string Rollout::of_upgrade(std::string why) const {
  if (kind_ != Kind::upgrade) return why;
  return fmt::format("the master is of {} now, the workers stay those of {}: {}", kRelease,
                     release_before_, why);
}

std::string Rollout::left_behind(std::size_t slot, std::string_view why) const {
  const auto* what = kind_ == Kind::upgrade   ? "runs the old program"
                     : kind_ == Kind::replace ? "has its old worker"
                                              : "runs the old configuration";
  return fmt::format("slot {} still {}: {}", slot, what, why);
}

void Rollout::on_worker_failed(std::size_t slot, std::string_view why) {
  if (step_ == Step::proving && slot == 0) {
    undo();
    return end({.text = of_upgrade(fmt::format("the first worker did not get ready: {}", why))});
  }
  if (step_ != Step::rolling || slot != slot_) return;
  if (++attempts_ < kAttempts &&
      supervisor_.start_worker(slot, state_.config, state_.generation, state_.slots()))
    return;
  end({.text = left_behind(slot, why)});
}

void Rollout::on_worker_stopped() {
  if (step_ != Step::rolling || supervisor_.stopping()) return;
  const auto& slots = supervisor_.slots();
  if (slot_ < slots.size() && slots[slot_].starting) return;  // an older one's last words
  next_slot();
}

void Rollout::next_slot() {
  for (++slot_; slot_ < state_.slots(); ++slot_) {
    const auto& slots = supervisor_.slots();
    if (slot_ < slots.size() && slots[slot_].serving &&
        slots[slot_].serving->generation == state_.generation)
      continue;  // died under way, and was started anew already
    attempts_ = 0;
    supervisor_.abandon_start(slot_);
    if (auto ok = supervisor_.start_worker(slot_, state_.config, state_.generation, state_.slots());
        !ok)
      end({.text = left_behind(slot_, ok.error().message)});
    return;
  }
  if (supervisor_.slots().size() > state_.slots()) {
    supervisor_.shrink(state_.slots());
    if (supervisor_.stopping()) return;  // on_worker_stopped() comes back here
  }
  close_gone();
}

/// All slots are over: nobody serves any more what is gone from the configuration.
void Rollout::close_gone() {
  step_ = Step::closing;
  closing_until_ns_ = monotonic_ns() + kClosingNs;
  if (!supervisor_.close_gone()) settle();
}

void Rollout::on_gone_closed() {
  if (step_ == Step::closing) settle();
}

/// What is gone from the configuration goes.
void Rollout::settle() {
  state_.listeners.keep_only(state_.config);
  std::erase_if(state_.clusters,
                [this](const auto& item) { return !state_.config.cluster(item.first); });
  std::erase_if(state_.admin, [this](const auto& item) {
    const auto* cluster = state_.config.cluster(item.first.first);
    return !cluster || std::ranges::find(cluster->servers, item.first.second,
                                         &config::Server::name) == cluster->servers.end();
  });
  if (kind_ != Kind::upgrade) return finish();
  step_ = Step::watching;
  if (auto ok = supervisor_.replace_monitor(); !ok) on_monitor_replaced(std::move(ok));
}

void Rollout::on_monitor_replaced(Result<> how) {
  if (step_ != Step::watching) return;
  if (how) return finish();
  state_.programs.monitor = std::move(state_.previous.monitor);
  end({.text = fmt::format("the monitor is still that of {}: {}", release_before_,
                           how.error().message)});
}

void Rollout::finish() {
  const auto text =
      kind_ == Kind::upgrade   ? fmt::format("upgraded from {} to {}", release_before_, kRelease)
      : kind_ == Kind::replace ? fmt::format("{} workers are new", state_.slots())
                               : fmt::format("generation {} is in force", state_.generation);
  end({.done = true, .text = text, .changes = changes_, .warnings = warnings_});
}

void Rollout::end(Outcome outcome) {
  const bool all_over = std::exchange(step_, Step::idle) == Step::watching;
  if (committed_) incomplete_ = !outcome.done && !all_over;
  if (committed_ && incomplete_) supervisor_.answer_at_gone();
  if (parser_) {
    ::kill(parser_->pid(), SIGKILL);
    ::waitpid(parser_->pid(), nullptr, 0);
    dead_.push_back(std::move(parser_));
  }
  if (kind_ == Kind::upgrade) keep_programs();
  if (kind_ != Kind::dry_run) note(outcome);
  const auto requests = std::move(requests_);
  requests_.clear();
  user_.on_outcome(outcome, requests);
  begin();
}

std::string_view Rollout::component() const {
  return kind_ == Kind::upgrade ? "upgrade" : kind_ == Kind::replace ? "replacement" : "reload";
}

/// For `status` and the log.
void Rollout::note(const Outcome& outcome) {
  const bool upgrade = kind_ == Kind::upgrade;
  if (kind_ != Kind::replace) {
    (upgrade ? state_.last_upgrade : state_.last_reload) =
        outcome.done ? outcome.text : "failed: " + outcome.text;
    (upgrade ? state_.last_upgrade_failed : state_.last_reload_failed) = !outcome.done;
  }
  const auto& reason = outcome.config_error ? "the configuration is wrong" : outcome.text;
  if (outcome.done)
    log::notice(component(), "done", log::kv("outcome", outcome.text));
  else if (state_.generation == 0)
    log::error("sluiced", "the start has failed", log::kv("reason", reason));
  else
    log::error(component(),
               committed_ || !release_before_.empty() ? "incomplete"
                                                      : "failed: everything stays as it was",
               log::kv("reason", reason));
}

/// Children that die are started with programs that have proved themselves: if no worker of the new
/// ones got ready, with those of before.
void Rollout::keep_programs() {
  auto& before = state_.previous;
  if (!before.self) return;  // refused: they have never been changed
  if (!committed_) {
    state_.programs.worker = std::move(before.worker);
    state_.programs.monitor = std::move(before.monitor);
  }
  before = {};
}

inheritance::Rollout Rollout::export_() const {
  inheritance::Rollout out{.requests = requests_, .incomplete = incomplete_};
  for (const auto& [kind, request] : waiting_) out.waiting.push_back({kind, request});
  return out;
}

void Rollout::import_(inheritance::Rollout from) {
  step_ = Step::trying;
  kind_ = Kind::upgrade;
  requests_ = std::move(from.requests);
  incomplete_ = from.incomplete;
  for (const auto& one : from.waiting) waiting_.emplace_back(one.kind, one.request);
}

void Rollout::refuse_upgrade(std::string why) {
  if (step_ == Step::trying) end({.text = std::move(why)});
}

void Rollout::roll_programs(const std::string& release) {
  release_before_ = release;
  roll_as_it_is();
}

/// All workers anew, with the configuration in force.
void Rollout::roll_as_it_is() {
  candidate_ = {.config = state_.config, .uid = state_.uid, .gid = state_.gid};
  changes_ = {};
  warnings_.clear();
  prove();
}

void Rollout::stop() {
  step_ = Step::idle;
  waiting_.clear();
  if (parser_) parser_->kill("the master ends");
}

void Rollout::tick() {
  dead_.clear();
  if (step_ == Step::closing && monotonic_ns() > closing_until_ns_) settle();
  if (parser_ && monotonic_ns() > parser_->deadline_ns)
    parser_->kill("reading the configuration takes too long");
}

}  // namespace sluice::master
