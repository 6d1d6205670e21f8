#include "monitor/resolver.h"

#include <fmt/format.h>

#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <unordered_set>

namespace sluice::monitor {

/// What the threads share with their owner; they hold it together with it.
struct Resolver::Shared {
  Shared(uint64_t resolver, std::shared_ptr<Mailbox> where, LookUp how)
      : id(resolver), mailbox(std::move(where)), look_up(how) {}

  const uint64_t id;
  const std::shared_ptr<Mailbox> mailbox;
  const LookUp look_up;
  std::mutex mutex;
  std::condition_variable changed;
  bool stop = false;              ///< behind the mutex, as is
  std::deque<std::string> queue;  ///< what no thread has begun with
};

namespace {

void look_up_for_ever(const std::shared_ptr<Resolver::Shared>& shared) {
  for (;;) {
    std::string ip;
    {
      std::unique_lock lock(shared->mutex);
      shared->changed.wait(lock, [&] { return shared->stop || !shared->queue.empty(); });
      if (shared->stop) return;
      ip = std::move(shared->queue.front());
      shared->queue.pop_front();
    }
    auto name = shared->look_up(ip);
    shared->mailbox->post({shared->id, NameFound{std::move(ip), std::move(name)}});
  }
}

}  // namespace

Result<Resolver> Resolver::start(uint64_t id, std::shared_ptr<Mailbox> mailbox, LookUp look_up) {
  auto shared = std::make_shared<Shared>(id, std::move(mailbox), look_up);
  Resolver resolver(shared);  // from here on its destructor tells the threads to go
  try {
    for (int i = 0; i < kThreads; ++i) std::thread([shared] { look_up_for_ever(shared); }).detach();
  } catch (const std::system_error& error) {
    return fail(Errc::system, fmt::format("start a thread: {}", error.what()));
  }
  return resolver;
}

Resolver::~Resolver() {
  if (!shared_) return;
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->stop = true;
  }
  shared_->changed.notify_all();
}

uint64_t Resolver::id() const {
  return shared_->id;
}

std::optional<ipc::NameResolved> Resolver::ask(const std::string& ip, int64_t now_ns) {
  if (auto known = cache_.known(ip, now_ns)) return known;
  switch (cache_.ask(ip, now_ns)) {
    case NameCache::Lookup::joined:
      return std::nullopt;
    case NameCache::Lookup::refused:
      return cache_.found(ip, "", now_ns);
    case NameCache::Lookup::begin:
      break;
  }
  const std::lock_guard lock(shared_->mutex);
  shared_->queue.push_back(ip);
  shared_->changed.notify_one();
  return std::nullopt;
}

ipc::NameResolved Resolver::take(NameFound found, int64_t now_ns) {
  return cache_.found(found.ip, std::move(found.name), now_ns);
}

std::vector<ipc::NameResolved> Resolver::overdue(int64_t now_ns) {
  auto late = cache_.overdue(now_ns);
  if (late.empty()) return late;
  std::unordered_set<std::string_view> given_up;
  for (const auto& answer : late) given_up.insert(answer.ip);
  const std::lock_guard lock(shared_->mutex);
  std::erase_if(shared_->queue, [&](const std::string& ip) { return given_up.contains(ip); });
  return late;
}

}  // namespace sluice::monitor
