#include "common/process/master_link.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/version.h"

namespace sluice::process {

MasterLink::~MasterLink() {
  log::set_sink(nullptr, nullptr);
}

Result<> MasterLink::start(MasterLinkUser& user) {
  user_ = &user;
  if (::fcntl(channel_.fd(), F_SETFD, FD_CLOEXEC) != 0) return fail_errno("channel to the master");
  SLUICE_TRY((watch_.start<&MasterLink::on_ready>(loop_, channel_.fd(), event::kRead, this)));
  log::set_sink(&MasterLink::log_to_master, this);
  send(ipc::Hello{.role = role_, .release = std::string(kRelease)});
  return {};
}

void MasterLink::on_ready(event::Bits what) {
  if (what & event::kWrite) {
    if (!channel_.flush()) lose();
  }
  if (what & event::kRead) receive();
  update_interest();
}

/// One frame a turn: the clients want theirs too, and asking whether there is another costs as much
/// as being told.
void MasterLink::receive() {
  auto frame = channel_.receive();
  if (!frame) return lose();
  if (!*frame) return;
  if (auto ok = take(std::move(**frame)); !ok) {
    const bool broken = ok.error().code == Errc::ipc_protocol;
    log::error("ipc", broken ? "the master broke the rules" : "cannot go on",
               log::kv("error", ok.error().message));
    drain(100);
    ::_exit(1);  // nothing that follows could be trusted, or done
  }
}

Result<> MasterLink::take(ipc::Frame frame) {
  if (frame.id == ipc::Declared<ipc::Hello>::kId && !greeted_) {
    const auto hello = ipc::decode<ipc::Hello>(frame.body);
    if (!hello || hello->role != ipc::Role::master || hello->protocol != ipc::kProtocolVersion)
      return fail(Errc::ipc_protocol, "not a master of this protocol");
    greeted_ = true;
    return {};
  }
  if (!greeted_) return fail(Errc::ipc_protocol, "no greeting");
  if (frame.id == ipc::Declared<ipc::Ping>::kId && frame.fds.empty()) {
    const auto ping = ipc::decode<ipc::Ping>(frame.body);
    if (!ping) return fail(Errc::ipc_protocol, "malformed Ping");
    send(ipc::Pong{ping->number});
    return {};
  }
  return user_->on_frame(std::move(frame));
}

void MasterLink::lose() {
  if (lost_) return;
  lost_ = true;
  watch_.stop();
  telling_.once<&MasterLink::tell_user>(loop_, std::chrono::microseconds(0), this);
}

void MasterLink::tell_user() {
  user_->on_master_lost();
}

void MasterLink::update_interest() {
  if (!lost_) watch_.want(event::kRead | (channel_.wants_write() ? event::kWrite : 0));
}

void MasterLink::drain(int timeout_ms) {
  const int64_t deadline = monotonic_ns() + timeout_ms * kMillisecondNs;
  while (!lost_ && channel_.wants_write() && monotonic_ns() < deadline) {
    pollfd ready{channel_.fd(), POLLOUT, 0};
    ::poll(&ready, 1, timeout_ms);
    if (!channel_.flush()) return;
  }
}

void MasterLink::log_to_master(void* self, log::Level level, std::string_view component,
                               std::string_view text) {
  // A record must never be larger than a datagram, whatever a peer put into it.
  constexpr std::size_t kMaxText = 4096;
  static_cast<MasterLink*>(self)->send(
      ipc::LogRecord{level, std::string(component), std::string(text.substr(0, kMaxText))});
}

}  // namespace sluice::process
