#include "monitor/mailbox.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

namespace sluice::monitor {
namespace {

Result<UniqueFd> make_eventfd() {
  UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd) return fail_errno("eventfd");
  return fd;
}

void signal(const UniqueFd& fd) {
  const uint64_t one = 1;
  (void)!::write(fd.get(), &one, sizeof one);  // only a full counter refuses, which is readable too
}

}  // namespace

Result<std::shared_ptr<Mailbox>> Mailbox::create() {
  return std::shared_ptr<Mailbox>(new Mailbox(SLUICE_TRY(make_eventfd())));
}

void Mailbox::post(Note note) {
  // That a question was asked matters only when the answer is late: no need to wake anybody.
  const bool urgent = !std::holds_alternative<Asked>(note.what);
  {
    const std::lock_guard lock(mutex_);
    notes_.push_back(std::move(note));
  }
  if (urgent) signal(event_);
}

std::vector<Note> Mailbox::take() {
  uint64_t count = 0;
  (void)!::read(event_.get(), &count, sizeof count);
  const std::lock_guard lock(mutex_);
  return std::exchange(notes_, {});
}

Result<std::shared_ptr<StopSignal>> StopSignal::create() {
  return std::shared_ptr<StopSignal>(new StopSignal(SLUICE_TRY(make_eventfd())));
}

void StopSignal::raise() {
  signal(event_);
}

bool StopSignal::raised() const {
  pollfd ready{event_.get(), POLLIN, 0};
  return ::poll(&ready, 1, 0) > 0;
}

void StopSignal::wait(int also, int64_t timeout_ms) const {
  pollfd ready[] = {{event_.get(), POLLIN, 0}, {also, POLLIN | POLLRDHUP, 0}};
  ::poll(ready, also >= 0 ? 2 : 1, static_cast<int>(std::clamp<int64_t>(timeout_ms, 0, 3'600'000)));
}

}  // namespace sluice::monitor
