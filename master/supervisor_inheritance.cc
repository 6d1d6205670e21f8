// The children as they pass from one program of the master to the next.
#include "master/supervisor.h"

namespace sluice::master {
namespace {

std::optional<inheritance::Child> exported(const std::unique_ptr<Child>& child) {
  return child && !child->lost() ? std::optional(child->export_()) : std::nullopt;
}

}  // namespace

inheritance::Supervisor Supervisor::export_() const {
  inheritance::Supervisor out{.monitor = exported(monitor_),
                              .monitor_failures = static_cast<uint32_t>(monitor_failures_),
                              .monitor_start_at_ns = monitor_start_at_ns_,
                              .monitor_uid = monitor_uid_,
                              .unreaped = unreaped_,
                              .workers_started = workers_started_,
                              .inquiries = inquiries_.export_(),
                              .monitor_sandbox = monitor_sandbox_};
  for (const auto& slot : slots_)
    out.slots.push_back({.serving = exported(slot.serving),
                         .starting = exported(slot.starting),
                         .failures = static_cast<uint32_t>(slot.failures),
                         .start_at_ns = slot.start_at_ns});
  for (const auto& child : leaving_)
    if (auto one = exported(child)) out.leaving.push_back(std::move(*one));
  return out;
}

Result<> Supervisor::import_(inheritance::Supervisor from) {
  const auto imported = [this](std::optional<inheritance::Child>& child) {
    return child ? Child::import_(*this, std::move(*child)) : nullptr;
  };
  monitor_ = imported(from.monitor);
  monitor_failures_ = static_cast<int>(from.monitor_failures);
  monitor_start_at_ns_ = from.monitor_start_at_ns;
  monitor_uid_ = from.monitor_uid;
  monitor_sandbox_ = from.monitor_sandbox;
  for (auto& one : from.slots) {
    auto& slot = slots_.emplace_back();
    slot.serving = imported(one.serving);
    slot.starting = imported(one.starting);
    slot.failures = static_cast<int>(one.failures);
    slot.start_at_ns = one.start_at_ns;
  }
  for (auto& one : from.leaving) leaving_.push_back(Child::import_(*this, std::move(one)));
  unreaped_ = std::move(from.unreaped);
  workers_started_ = from.workers_started;
  inquiries_.import_(std::move(from.inquiries));
  for (Child* child : workers()) SLUICE_TRY(child->attend(loop_));
  if (monitor_) SLUICE_TRY(monitor_->attend(loop_));
  return {};
}

}  // namespace sluice::master
