// From the threads to the main loop: the only thing that they share. Threads never log and never
// send to the master; they post a note and the main thread does the rest.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "common/ipc/channel.h"
#include "monitor/observation.h"

namespace sluice::monitor {

/// A question was sent to the server; the answer will be a Seen.
struct Asked {
  int64_t at_ns = 0;
};
/// The outcome of a question, good or bad.
struct Seen {
  Observation observation;
  int64_t at_ns = 0;
};
/// A try to resolve the server's host name.
struct Resolved {
  std::vector<cluster::Address> addresses;  ///< empty if it failed
  std::string error;
};
/// A load of a cluster's accounts.
struct AccountsLoaded {
  UniqueFd file;           ///< sealed memfd with the table; none if it failed or nothing changed
  ipc::SealedMap table;    ///< what is in it
  bool requested = false;  ///< somebody waits for AccountsChecked
  int64_t began_ns = 0;    ///< when it began
  std::string server;      ///< where from
  std::string error;       ///< why it failed; empty if it did not
};

/// An address was looked up.
struct NameFound {
  std::string ip;
  std::string name;  ///< empty: it has none
};

/// Who posts: the id tells a thread from its stopped predecessor of the same name.
struct Note {
  uint64_t sender = 0;
  std::variant<Asked, Seen, Resolved, AccountsLoaded, NameFound> what;
};

/// A queue with an eventfd that is readable while there is something urgent in it.
class Mailbox {
 public:
  static Result<std::shared_ptr<Mailbox>> create();

  int fd() const { return event_.get(); }
  void post(Note note);
  /// All that was posted, in order.
  std::vector<Note> take();

 private:
  explicit Mailbox(UniqueFd event) : event_(std::move(event)) {}
  UniqueFd event_;
  std::mutex mutex_;
  std::vector<Note> notes_;
};

/// How a thread is told to end: an eventfd that it can poll(2) beside its socket, so nothing that
/// stops it ever waits. Shared by the thread and its owner.
class StopSignal {
 public:
  static Result<std::shared_ptr<StopSignal>> create();
  int fd() const { return event_.get(); }
  void raise();
  bool raised() const;
  /// Waits until raised, until `also` (an fd, or -1) is readable, or for `timeout_ms`.
  void wait(int also, int64_t timeout_ms) const;

 private:
  explicit StopSignal(UniqueFd event) : event_(std::move(event)) {}
  UniqueFd event_;
};

}  // namespace sluice::monitor
