// Every listening socket, for as long as it is configured. TCP: one SO_REUSEPORT socket for each
// worker slot; a slot's successor gets the same socket, so the kernel's queue of connections that
// were not accepted yet survives every roll and every crash. Unix: one shared socket.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "common/config/config.h"
#include "master/inheritance.h"

namespace sluice::master {

struct ListeningSockets {
  config::Endpoint endpoint;
  std::vector<UniqueFd> sockets;
  std::size_t in_force = 0;  ///< sockets that undo() leaves
  uint64_t inode = 0;  ///< of a Unix socket's file: removed at the end only if it is still ours
};

class Listeners {
 public:
  /// Binds what `wanted` has and we have not, and adds sockets for more slots. On an error nothing
  /// has changed: what was bound for it is closed again.
  Result<> prepare(const config::Config& wanted, std::size_t slots);
  /// What prepare() would fail on, a line each, without a lasting trace.
  std::vector<std::string> obstacles(const config::Config& wanted) const;
  /// What `wanted` does not have any more. It closes in three steps, or connections that the kernel
  /// has taken would be reset: refuse_new(), a worker answers those, keep_only().
  std::vector<const ListeningSockets*> gone(const config::Config& wanted) const;
  /// From here on the kernel takes no new connections there; those that it has can be accepted.
  static void refuse_new(const ListeningSockets& listening);
  /// Closes what `wanted` does not have any more.
  void keep_only(const config::Config& wanted);
  /// Closes what was bound by the last prepare(), which is not to be.
  void undo();
  /// Forgets what undo() would do: the new configuration is in force.
  void commit();
  std::vector<inheritance::Listening> export_() const;
  void import_(std::vector<inheritance::Listening> listeners);
  /// Removes the files of Unix sockets and closes everything.
  void close_all();

  /// The sockets that the worker of a slot serves, those of TCP listening only once it does.
  /// Sockets of slots that are no more are served by those that remain, so no queue is orphaned.
  std::vector<int> sockets_for(const config::Endpoint& endpoint, std::size_t slot,
                               std::size_t slots) const;
  const std::map<std::string, ListeningSockets>& all() const { return all_; }

 private:
  bool overlaps_ours(const config::Endpoint& endpoint) const;
  static void close_one(ListeningSockets& listening);
  std::map<std::string, ListeningSockets> all_;  ///< by the endpoint's text
  std::vector<std::string> fresh_;
};

}  // namespace sluice::master
