#include "master/inheritance.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "common/base/version.h"
#include "common/stats/page.h"

namespace sluice::master::inheritance {
namespace {

constexpr std::size_t kMaxSize = std::size_t{1} << 30;

/// Calls `see(value)` for every T within `value`, however deep.
template <class T, class Value, class See>
void for_each(const Value& value, See see) {
  if constexpr (std::is_same_v<T, Value>) {
    see(value);
  } else if constexpr (ipc::kIsVector<Value>) {
    for (const auto& element : value) for_each<T>(element, see);
  } else if constexpr (ipc::kIsOptional<Value>) {
    if (value) for_each<T>(*value, see);
  } else if constexpr (ipc::Struct<Value>) {
    std::apply([&](const auto&... field) { (for_each<T>(field.value, see), ...); },
               Value::fields(value));
  }
}

bool is_phase(uint8_t phase) {
  return std::has_single_bit(phase) && phase <= ipc::kDraining;
}

/// The front of a Master, in whatever version.
struct Front {
  Format format;
  static auto fields(auto& m) { return std::tuple(tag<1>(m.format)); }
};

template <class T>
Result<T> decoded(ByteSpan bytes) {
  auto value = ipc::decode<T>(bytes);
  if (value) return std::move(*value);
  return fail(Errc::bad_input, fmt::format("the state can't be read: {}", value.error().field));
}

}  // namespace

Format own_format() {
  return {.version = kVersion,
          .readable_from = kReadableFrom,
          .protocol = ipc::kProtocolVersion,
          .stats_size = sizeof(stats::Page),
          .release = std::string(kRelease)};
}

UniqueFd own(const Fd& fd) {
  return UniqueFd(fd.number);
}

Channel export_(const ipc::Channel& channel) {
  Channel out{.fd = {channel.fd()}};
  for (const auto& queued : channel.queued()) {
    auto& copy = out.queue.emplace_back(Queued{.datagram = queued.datagram});
    for (const auto& fd : queued.fds) copy.fds.push_back({fd.get()});
  }
  return out;
}

ipc::Channel import_(Channel channel) {
  std::deque<ipc::Channel::Queued> queue;
  for (auto& queued : channel.queue) {
    auto& back = queue.emplace_back(ipc::Channel::Queued{.datagram = std::move(queued.datagram)});
    for (const auto& fd : queued.fds) back.fds.push_back(own(fd));
  }
  return ipc::Channel(own(channel.fd), std::move(queue));
}

std::vector<int> fds_of(const Master& master) {
  std::vector<int> out;
  for_each<Fd>(master, [&out](const Fd& fd) {
    if (fd.number >= 0) out.push_back(fd.number);
  });
  std::ranges::sort(out);
  return out;
}

Result<> judge(const Format& format) {
  if (format.version < kOldest || format.readable_from > kVersion)
    return fail(Errc::bad_input,
                fmt::format("release {} leaves a state of version {}, and {} to {} are understood",
                            format.release, format.version, kOldest, kVersion));
  if (format.protocol != ipc::kProtocolVersion)
    return fail(Errc::bad_input,
                fmt::format("the processes of release {} speak protocol {}, and not {}",
                            format.release, format.protocol, ipc::kProtocolVersion));
  if (format.stats_size != sizeof(stats::Page))
    return fail(Errc::bad_input,
                fmt::format("the statistics page of release {} is another one", format.release));
  return {};
}

Result<> judge(const Master& master) {
  bool sane = master.state.generation > 0 && master.state.stats.number >= 0 &&
              master.control.socket.number >= 0 && master.programs.self.number >= 0 &&
              master.programs.worker.number >= 0 && master.programs.monitor.number >= 0 &&
              master.supervisor.slots.size() < stats::kLanes;
  for_each<Child>(master, [&](const Child& child) {
    sane &= child.pid > 0 && child.channel.fd.number >= 0 && is_phase(child.phase) &&
            child.lane < stats::kLanes;
  });
  for (std::size_t i = 0; i < master.supervisor.slots.size(); ++i)
    for_each<Child>(master.supervisor.slots[i],
                    [&](const Child& child) { sane &= child.slot == i; });
  for_each<ControlClient>(master, [&](const ControlClient& client) {
    sane &= client.channel.fd.number >= 0 && is_phase(client.phase);
  });
  const auto fds = fds_of(master);
  sane &= std::ranges::adjacent_find(fds) == fds.end();
  if (!sane) return fail(Errc::bad_input, "the state contradicts itself");
  return {};
}

Result<UniqueFd> write(const Master& master) {
  auto bytes = ipc::encode(master);
  auto fd = ipc::sealed_memfd("sluice-state", bytes);
  wipe(bytes);
  return fd;
}

Result<Master> read(int fd) {
  const auto map = SLUICE_TRY(ipc::SealedMap::map(fd, kMaxSize));
  SLUICE_TRY(judge(SLUICE_TRY(decoded<Front>(map.bytes())).format));
  auto master = SLUICE_TRY(decoded<Master>(map.bytes()));
  SLUICE_TRY(judge(master));
  return master;
}

}  // namespace sluice::master::inheritance
