// Who has the server connections of one service in this worker, and who gets the next one. A
// session keeps its connections as long as nobody needs them. When the service has as many to a
// server as it may, the one that needs one gets that of the session that was active least recently,
// among those that may lend; where none may, commands wait in the order in which they came, and
// reads do without.
//
// It knows no socket and no session: what it wants to know it asks of `Lenders`, and what it has
// decided is carried out by the worker.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "worker/session/leg.h"

namespace sluice::worker {

/// A server connection as a place in a session.
struct Place {
  uint64_t session = 0;
  Side side = Side::server;
  bool operator==(const Place&) const = default;
};

/// What is asked of the sessions.
class Lenders {
 public:
  virtual ~Lenders() = default;
  enum class Answer : uint8_t {
    no,
    asked,    ///< it is asking its server what it has to know first
    if_told,  ///< it would have to
    yes,
  };
  virtual Answer may_lend(Place place) const = 0;
  /// When it was active last.
  virtual int64_t active_ns(Place place) const = 0;
  /// Whether the one can go on with the other's connection.
  virtual bool fits(Place from, Place to) const = 0;
};

class Pool {
 public:
  /// Of `limit` connections to each server, this worker's share.
  Pool(uint32_t limit, uint32_t workers) : limit_((limit + workers - 1) / workers) {}

  /// A session has logged in: it came with a connection of its own.
  void came(std::string_view server, Place place);
  /// It wants a connection; `counted`: it has been counted as waiting, by another worker.
  void wants(std::string_view server, Place place, bool counted = false);
  /// It has it no more, or does not want it any more.
  void left(Place place);

  struct Decision {
    enum class What : uint8_t {
      connect,  ///< `to` makes a connection
      lend,     ///< `to` gets the connection of `from`
      replace,  ///< that of `from` is closed, and `to` makes one
      close,    ///< that of `from` is closed: there are too many
      ask,      ///< `from` is to get ready to lend
      none,     ///< `to` gets nothing
    };
    What what{};
    Place from{}, to{};
    bool operator==(const Decision&) const = default;
  };
  /// What is to be done next, and counts as done from here on.
  std::optional<Decision> next(const Lenders& lenders);

  uint32_t limit() const { return limit_; }
  std::size_t open() const;
  std::size_t waiting() const;
  /// How many have begun to wait since this was asked last.
  std::size_t take_waited();
  /// Who has the connections to a server; for all servers, if that is empty.
  std::vector<Place> holders(std::string_view server) const;

 private:
  struct Waiter {
    Place place;
    bool counted = false;
  };
  struct Server {
    std::vector<Place> holders;
    std::deque<Waiter> queue;
  };
  std::optional<Decision> serve(Server& server, const Lenders& lenders);
  std::optional<Decision> shrink(Server& server, const Lenders& lenders);
  static std::optional<Decision> ask(const Server& server, const Lenders& lenders,
                                     std::size_t wanted);
  static std::optional<Place> least_active(const Server& server, const Lenders& lenders,
                                           Lenders::Answer answer);

  uint32_t limit_;
  std::map<std::string, Server, std::less<>> servers_;
};

}  // namespace sluice::worker
