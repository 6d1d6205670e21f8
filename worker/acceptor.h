// Takes connections from one listening socket of a service.
#pragma once

#include "common/base/unique_fd.h"
#include "common/config/config.h"
#include "common/event/event.h"

namespace sluice::worker {

class Worker;
struct ServiceEntry;

class Acceptor {
 public:
  Acceptor(Worker& worker, ServiceEntry& service, UniqueFd socket)
      : worker_(worker), service_(service), socket_(std::move(socket)) {}
  Result<> start();
  /// Takes what the kernel has queued, all of it; the last act before a worker stops accepting.
  void drain();

 private:
  void on_ready(short what);
  void on_pause_over();
  /// Takes one connection; false if there is none, or none can be taken now.
  bool take_one();

  Worker& worker_;
  ServiceEntry& service_;
  UniqueFd socket_;
  event::IoWatch watch_;
  event::Timer pause_;
};

}  // namespace sluice::worker
