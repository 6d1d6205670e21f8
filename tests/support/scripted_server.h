#pragma once

#include <functional>
#include <list>
#include <mutex>
#include <thread>

#include "tests/support/raw_client.h"

namespace sluice::test {

/// A server that says what a test tells it to. Until then, and again when it is told nothing, it
/// hands every connection on to a real one; those go on meanwhile, so whoever watches it through
/// one sees it in good health.
class ScriptedServer {
 public:
  /// Speaks on one connection, in a thread of that connection's own; the end of it closes.
  using Script = std::function<void(RawClient&)>;

  explicit ScriptedServer(uint16_t real_port);
  ~ScriptedServer();
  uint16_t port() const { return port_; }
  /// For connections that come from now on; empty: they go to the real server.
  void play(Script script);

 private:
  struct Connection {
    RawClient peer;
    std::thread thread{};
  };
  void accept_all();
  void serve(RawClient& peer, const Script& script) const;
  void hand_on(RawClient& peer) const;

  const uint16_t real_port_;
  uint16_t port_ = 0;
  UniqueFd listener_;
  std::mutex mutex_;
  Script script_;
  std::list<Connection> connections_;
  std::thread acceptor_;
};

}  // namespace sluice::test
