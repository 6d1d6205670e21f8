#include "monitor/accounts_watch.h"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <system_error>
#include <thread>

#include "common/base/clock.h"
#include "monitor/accounts_loader.h"
#include "monitor/connection.h"

namespace sluice::monitor {

int64_t LoadSchedule::due_ns(int64_t interval_ns) const {
  if (!began_ns_) return INT64_MIN;
  const int64_t pause = requested_ || hurried_ ? kPauseNs : std::max(interval_ns, kPauseNs);
  return *began_ns_ + pause;
}

bool LoadSchedule::begin(int64_t now_ns) {
  began_ns_ = now_ns;
  hurried_ = false;
  return std::exchange(requested_, false);
}

/// Everything here is behind the mutex, but for what never changes.
struct AccountsWatch::Shared {
  Shared(uint64_t watch, std::shared_ptr<Mailbox> where) : id(watch), mailbox(std::move(where)) {}

  const uint64_t id;
  const std::shared_ptr<Mailbox> mailbox;
  std::mutex mutex;
  std::condition_variable changed;
  bool stop = false;
  config::Cluster cluster;  ///< without its servers
  std::vector<AccountsSource> sources;
  LoadSchedule schedule;
};

namespace {

using Shared = AccountsWatch::Shared;

/// What a load needs, copied out so that nothing is locked while servers are talked to.
struct Job {
  config::Cluster cluster;
  std::vector<AccountsSource> sources;
  int64_t began_ns = 0;
  bool requested = false;
};

class Loader {
 public:
  explicit Loader(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}

  void run() {
    while (auto job = next_job()) {
      AccountsLoaded note;
      note.requested = job->requested;
      note.began_ns = job->began_ns;
      load(*job, note);
      shared_->mailbox->post({shared_->id, std::move(note)});
      ::malloc_trim(0);  // a large table's rows are a hundred megabytes that nobody needs any more
    }
  }

 private:
  /// Waits until a load is due; nothing when the watch is over.
  std::optional<Job> next_job() {
    std::unique_lock lock(shared_->mutex);
    for (;;) {
      if (shared_->stop) return std::nullopt;
      if (shared_->sources.empty() && !shared_->schedule.requested()) {
        shared_->changed.wait(lock);
        continue;
      }
      const int64_t now = monotonic_ns();
      const int64_t due =
          shared_->schedule.due_ns(shared_->cluster.accounts_interval_ms * kMillisecondNs);
      if (due <= now)
        return Job{shared_->cluster, shared_->sources, now, shared_->schedule.begin(now)};
      shared_->changed.wait_for(lock, std::chrono::nanoseconds(due - now));
    }
  }

  void load(const Job& job, AccountsLoaded& note) {
    note.error = "no server of the cluster answers";  // stays if there is no source
    for (const auto& source : job.sources) {
      note.server = source.server.name;
      auto contents = load_from(job.cluster, source);
      if (!contents) {
        note.error = contents.error().message;
        connection_.reset();
        continue;
      }
      const auto published = publish(*contents, note);
      note.error = published ? "" : published.error().message;
      return;
    }
  }

  Result<accounts::Contents> load_from(const config::Cluster& cluster,
                                       const AccountsSource& source) {
    if (!connection_ || connected_to_ != source || user_ != cluster.user)
      SLUICE_TRY(connect(cluster, source));
    auto contents = load_accounts(connection_->handle(), source.server.name);
    if (contents || contents.error().code != Errc::unavailable) return contents;
    // The connection may have been closed while it was idle: once more with a new one.
    SLUICE_TRY(connect(cluster, source));
    return load_accounts(connection_->handle(), source.server.name);
  }

  Result<> connect(const config::Cluster& cluster, const AccountsSource& source) {
    connection_.reset();
    std::string error = "no address";
    for (const auto& address : source.addresses) {
      auto opened = Connection::open(cluster, source.server, address);
      if (opened) {
        connection_.emplace(std::move(*opened));
        connected_to_ = source;
        user_ = cluster.user;
        return {};
      }
      error = opened.error().text;
    }
    return fail(Errc::unavailable, error);
  }

  /// Fills in the table if it says something else than the last one. It is copied to shared memory
  /// here and not in the main loop, which has others to attend to.
  Result<> publish(const accounts::Contents& contents, AccountsLoaded& note) {
    const auto encoded = accounts::encode(contents);
    const auto fingerprint = accounts::fingerprint(encoded);
    if (last_fingerprint_ == fingerprint) return {};
    auto file = SLUICE_TRY(ipc::sealed_memfd("sluice-accounts", encoded));
    note.table = SLUICE_TRY(ipc::SealedMap::map(file.get(), encoded.size()));
    note.file = std::move(file);
    last_fingerprint_ = fingerprint;
    return {};
  }

  const std::shared_ptr<Shared> shared_;
  std::optional<Connection> connection_;
  AccountsSource connected_to_;
  std::string user_;
  std::optional<std::size_t> last_fingerprint_;
};

}  // namespace

Result<AccountsWatch> AccountsWatch::start(uint64_t id, std::shared_ptr<Mailbox> mailbox) {
  auto shared = std::make_shared<Shared>(id, std::move(mailbox));
  try {
    std::thread([shared] { Loader(shared).run(); }).detach();
  } catch (const std::system_error& error) {
    return fail(Errc::system, fmt::format("start a thread: {}", error.what()));
  }
  return AccountsWatch(std::move(shared));
}

AccountsWatch::~AccountsWatch() {
  if (!shared_) return;
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->stop = true;
  }
  shared_->changed.notify_all();
}

uint64_t AccountsWatch::id() const {
  return shared_->id;
}

void AccountsWatch::configure(const config::Cluster& cluster, std::vector<AccountsSource> sources) {
  const std::lock_guard lock(shared_->mutex);
  auto wanted = cluster;
  wanted.servers.clear();
  if (wanted == shared_->cluster && sources == shared_->sources) return;
  // Another primary or another account may show other tables; an interval alone changes nothing.
  const auto first = [](const std::vector<AccountsSource>& s) {
    return s.empty() ? std::string() : s.front().server.name;
  };
  if (first(sources) != first(shared_->sources) || wanted.user != shared_->cluster.user)
    shared_->schedule.expedite();
  shared_->cluster = std::move(wanted);
  shared_->sources = std::move(sources);
  shared_->changed.notify_all();
}

void AccountsWatch::request() {
  const std::lock_guard lock(shared_->mutex);
  shared_->schedule.request();
  shared_->changed.notify_all();
}

}  // namespace sluice::monitor
