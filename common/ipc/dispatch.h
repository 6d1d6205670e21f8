// Which member function takes which message. A frame that is unknown, out of phase or carries the
// wrong number of fds is refused before a byte of it is decoded (STYLE C.4; OpenSSH monitor.c).
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "common/ipc/channel.h"

namespace sluice::ipc {

template <class Self>
struct Handler {
  uint16_t id;
  std::string_view name;
  uint8_t senders;
  uint8_t phases;
  FdCount fds;
  Result<> (*call)(Self& self, Frame frame);
};

namespace detail {
template <class Method>
struct HandlerOf;
template <class S, class M>
struct HandlerOf<Result<> (S::*)(M)> {
  using Self = S;
  using Message = M;
  static constexpr bool kTakesFds = false;
};
template <class S, class M>
struct HandlerOf<Result<> (S::*)(M, std::vector<UniqueFd>)> {
  using Self = S;
  using Message = M;
  static constexpr bool kTakesFds = true;
};
}  // namespace detail

/// The row for a member function `Result<> on_x(Message)` or `(Message, std::vector<UniqueFd>)`.
template <auto Method>
constexpr auto on() {
  using Traits = detail::HandlerOf<decltype(Method)>;
  using Self = typename Traits::Self;
  using Message = typename Traits::Message;
  using Row = Declared<Message>;
  static_assert(Traits::kTakesFds == (Row::kFds.most > 0), "fds declared and fds taken differ");
  return Handler<Self>{Row::kId,
                       Row::kName,
                       Row::kSender,
                       Row::kPhases,
                       Row::kFds,
                       [](Self& self, Frame frame) -> Result<> {
                         auto message = decode<Message>(frame.body);
                         wipe(frame.body);
                         if (!message)
                           return fail(
                               Errc::ipc_protocol,
                               fmt::format("{}: malformed {}", Row::kName, message.error().field));
                         if constexpr (Traits::kTakesFds)
                           return (self.*Method)(std::move(*message), std::move(frame.fds));
                         else
                           return (self.*Method)(std::move(*message));
                       }};
}

/// Hands a frame to its handler. Errors are the peer's fault (Errc::ipc_protocol) or the handler's.
template <class Self>
Result<> dispatch(Self& self, std::span<const Handler<Self>> table, Role sender, uint8_t phase,
                  Frame frame) {
  const auto row = std::ranges::find(table, frame.id, &Handler<Self>::id);
  if (row == table.end())
    return fail(Errc::ipc_protocol, fmt::format("unknown message id {}", frame.id));
  if (!(row->senders & party(sender)))
    return fail(Errc::ipc_protocol, fmt::format("{} is not its to send", row->name));
  if (!(row->phases & phase))
    return fail(Errc::ipc_protocol, fmt::format("{} out of phase", row->name));
  if (frame.fds_lost)
    return fail(Errc::ipc_protocol, fmt::format("{}: there was no room for its fds", row->name));
  if (!row->fds.holds(frame.fds.size()))
    return fail(Errc::ipc_protocol, fmt::format("{}: {} fds", row->name, frame.fds.size()));
  return row->call(self, std::move(frame));
}

}  // namespace sluice::ipc
