// What a session's engine wants done, in order. The runtime carries it out; a simulator does so
// too.
#pragma once

#include <cassert>
#include <list>
#include <string>
#include <vector>

#include "common/stats/routes.h"
#include "worker/session/state.h"

namespace sluice::worker {

struct Action {
  enum class Kind : uint8_t {
    send,      ///< `bytes` to `side`
    acquire,   ///< a connection of the pool for `side`, to the server that its leg names; answered
               ///< by split::on_granted(), on_lent() or on_none_lent()
    unserved,  ///< a command has waited for one in vain
    connect,   ///< `side` to the server named `text`; answered by connect_failed() or its bytes
    close,     ///< `side`, at once
    finish_client,     ///< close our half of the client's connection once all is sent
    start_tls,         ///< with `side`; answered by on_secured() or on_tls_failed()
    compress,          ///< from here on, what goes to the client
    refresh_accounts,  ///< ask for the tables to be read again
    resolve,           ///< ask for the name of the address `text`
    seek,              ///< the session that its KILL is about; answered by split::on_sought()
    count,             ///< one more command of a split session, by `route`
    unheeded,          ///< its hint named a server that can't be used
    log,               ///< one line about this session; `text` is why
    warn,              ///< the same, for somebody who ought to know
  };
  Kind kind;
  Side side = Side::client;
  ByteSpan bytes;
  std::string_view text;
  stats::Route route{};
};

/// Kept by its owner and used again: in the steady state nothing is allocated.
class Actions {
 public:
  void send(Side to, ByteSpan bytes) { list_.push_back({Action::Kind::send, to, bytes, {}}); }
  /// As above, for bytes that the engine made: they live until clear().
  void send_made(Side to, Bytes bytes) { send(to, keep(std::move(bytes))); }
  /// Empty bytes to be filled and sent; they live until clear(). Mostly without an allocation.
  Bytes& make() {
    if (spare_.empty()) return made_.emplace_back();
    made_.splice(made_.end(), spare_, spare_.begin());
    return made_.back();
  }
  /// Bytes that are to be sent in parts; they live until clear().
  ByteSpan keep(Bytes bytes) { return made_.emplace_back(std::move(bytes)); }
  void connect(Side side, std::string_view server) {
    list_.push_back({Action::Kind::connect, side, {}, server});
  }
  void acquire(Side side) { list_.push_back({Action::Kind::acquire, side, {}, {}}); }
  void unserved() { list_.push_back({Action::Kind::unserved, {}, {}, {}}); }
  void close(Side side) { list_.push_back({Action::Kind::close, side, {}, {}}); }
  void finish_client() { list_.push_back({Action::Kind::finish_client, {}, {}, {}}); }
  void start_tls(Side side) { list_.push_back({Action::Kind::start_tls, side, {}, {}}); }
  void compress() { list_.push_back({Action::Kind::compress, {}, {}, {}}); }
  void seek() { list_.push_back({Action::Kind::seek, {}, {}, {}}); }
  void count(stats::Route route) { list_.push_back({Action::Kind::count, {}, {}, {}, route}); }
  void unheeded() { list_.push_back({Action::Kind::unheeded, {}, {}, {}}); }
  void resolve(std::string_view ip) { list_.push_back({Action::Kind::resolve, {}, {}, ip}); }
  void refresh_accounts() { list_.push_back({Action::Kind::refresh_accounts, {}, {}, {}}); }
  void log(std::string text) { say(Action::Kind::log, std::move(text)); }
  void warn(std::string text) { say(Action::Kind::warn, std::move(text)); }

  /// Held while the list is carried out: what is done then must not come back to another session,
  /// whose bytes would mix with these.
  class InUse {
   public:
    explicit InUse(Actions& actions) : actions_(actions) {
      assert(!actions.in_use_);
      actions.in_use_ = true;
    }
    ~InUse() { actions_.in_use_ = false; }

   private:
    Actions& actions_;
  };

  const std::vector<Action>& list() const { return list_; }
  void clear() {
    list_.clear();
    constexpr std::size_t kSpares = 4, kSpareSize = 4096;
    while (!made_.empty()) {
      Bytes& bytes = made_.front();
      if (!bytes.empty()) ::explicit_bzero(bytes.data(), bytes.size());  // maybe a password
      bytes.clear();
      if (spare_.size() < kSpares && bytes.capacity() <= kSpareSize)
        spare_.splice(spare_.end(), made_, made_.begin());
      else
        made_.pop_front();
    }
    texts_.clear();
  }

 private:
  void say(Action::Kind kind, std::string text) {
    const auto& kept = texts_.emplace_back(std::move(text));
    list_.push_back({kind, {}, {}, kept});
  }

  std::vector<Action> list_;
  std::list<Bytes> made_, spare_;
  std::list<std::string> texts_;
  bool in_use_ = false;
};

}  // namespace sluice::worker
