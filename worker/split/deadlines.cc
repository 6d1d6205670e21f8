// What a session waits for only so long. Each thing that it waits for has a time of its own, for
// several may be under way: a replica that logs in must not make the session forget that its
// primary is being called.
#include <algorithm>

#include "worker/split/lending.h"
#include "worker/split/programs.h"
#include "worker/split/steps.h"

namespace sluice::worker::split {
namespace {

/// The earlier of two times; 0: never.
int64_t earlier(int64_t a, int64_t b) {
  if (a == 0 || b == 0) return a + b;
  return std::min(a, b);
}

bool is_due(int64_t by_ns, const Surroundings& w) {
  return by_ns != 0 && by_ns <= w.now_ns;
}

int64_t kill_deadline(const Killing& kill) {
  switch (kill.step) {
    case KillStep::none:
    case KillStep::judging:
      return 0;
    case KillStep::pausing:
      return kill.again_ns;
    case KillStep::finding:
    case KillStep::seeking:
    case KillStep::calling:
    case KillStep::stopping:
      return kill.by_ns;
  }
  return 0;
}

/// Home must not take the session for idle while a replica reads for it.
int64_t ping_deadline(const SessionState& s) {
  const auto& home = s.split->home_link;
  const bool unused = home.step == Step::ready && home.errands.empty() && runs_on_reader(s);
  return unused ? s.split->idle_home_ns : 0;
}

int64_t home_deadline(const Split& split) {
  const bool none = split.home_link.step == Step::none;
  return earlier(none ? earlier(split.look_ns, split.home_by_ns) : 0, split.transaction.by_ns);
}

/// Whether a connection that is to be had was waited for too long.
bool leg_late(SessionState& s, const Surroundings& w, Side side, Actions& out) {
  const auto& to = link(s, side);
  if (!is_due(to.by_ns, w)) return false;
  if (to.step != Step::queued)
    on_leg_failed(s, w, side, "its login took too long", out);
  else if (side == Side::server)
    pool_late(s, w, out);
  else
    on_none_lent(s, w, side, out);
  return true;
}

}  // namespace

int64_t deadline_of(const SessionState& s) {
  const auto& split = *s.split;
  const auto legs = earlier(split.home_link.by_ns, split.reader_link.by_ns);
  const auto others = earlier(earlier(split.stalled_by_ns, split.ask_ns), ping_deadline(s));
  return earlier(earlier(legs, others), earlier(kill_deadline(split.kill), home_deadline(split)));
}

void late(SessionState& s, const Surroundings& w, Actions& out) {
  auto& split = *s.split;
  if (is_due(kill_deadline(split.kill), w)) return kill_late(s, w, out);
  for (const Side side : {Side::server, Side::reader})
    if (leg_late(s, w, side, out)) return;
  if (is_due(split.stalled_by_ns, w)) return reader_stalled(s, w, out);
  if (is_due(home_deadline(split), w)) return home_late(s, w, out);
  if (is_due(split.ask_ns, w)) return ask_when_idle(s, out);
  if (is_due(ping_deadline(s), w)) keep_home(s, w, out);
}

}  // namespace sluice::worker::split
