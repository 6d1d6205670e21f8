// Takes connections from one listening socket: for a service, or to tell them that the address is
// gone.
#pragma once

#include <string>

#include "common/base/unique_fd.h"
#include "common/config/config.h"
#include "common/event/event.h"

namespace sluice::worker {

class Worker;
struct ServiceEntry;

class Acceptor {
 public:
  /// `service`: null at an address that no service has any more.
  Acceptor(Worker& worker, ServiceEntry* service, std::string address, UniqueFd socket)
      : worker_(worker),
        service_(service),
        address_(std::move(address)),
        socket_(std::move(socket)) {}
  /// Before the worker locks itself in, which forbids it.
  Result<> listen();
  Result<> start();
  /// Takes what the kernel has queued, all of it; the last act before a worker stops accepting.
  void drain();

 private:
  void on_ready(event::Bits what);
  void on_pause_over();
  /// Takes one connection; false if there is none, or none can be taken now.
  bool take_one();
  void turn_away(const UniqueFd& client, const std::string& client_ip) const;

  Worker& worker_;
  ServiceEntry* service_;
  std::string address_;
  UniqueFd socket_;
  event::IoWatch watch_;
  event::Timer pause_;
};

}  // namespace sluice::worker
