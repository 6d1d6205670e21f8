// The control socket's end in the master. Its clients are people and scripts of this machine, their
// credentials are checked; one that breaks the rules is disconnected, and nothing else happens.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <string>

#include "common/control/commands.h"
#include "common/event/event.h"
#include "common/ipc/dispatch.h"
#include "master/inheritance.h"
#include "master/unix_socket.h"

namespace sluice::master {

class Master;
class ControlServer;
struct Outcome;

/// One connection to the control socket.
class ControlClient {
 public:
  ControlClient(ControlServer& server, ipc::Channel channel, control::Access access,
                std::string who);
  Result<> start(event::Loop& loop);
  static std::unique_ptr<ControlClient> import_(ControlServer& server,
                                                inheritance::ControlClient from);
  inheritance::ControlClient export_() const;
  template <class Message>
  void send(const Message& message) {
    if (!channel_.send(message)) gone_ = true;
    update_interest();
  }
  bool gone() const { return gone_; }
  control::Access access() const { return access_; }
  const std::string& who() const { return who_; }
  int64_t active_ns = 0;
  uint64_t request = 0;  ///< that it waits for; 0: none

 private:
  void on_ready(event::Bits what);
  Result<> take(ipc::Frame frame);
  Result<> on_hello(ipc::Hello hello);
  Result<> on_control_request(ipc::ControlRequest message);
  void update_interest();

  ControlServer& server_;
  ipc::Channel channel_;
  event::IoWatch watch_;
  control::Access access_;
  std::string who_;  ///< "uid=0 pid=812", for the log
  ipc::Phase phase_ = ipc::kGreeting;
  bool gone_ = false;
};

class ControlServer {
 public:
  ControlServer(event::Loop& loop, Master& master) : loop_(loop), master_(master) {}

  /// Listens there from now on; connections that are open stay.
  void listen(UnixSocket socket, std::string path);
  void close();
  void tick();

  void on_request(ControlClient& client, ipc::ControlRequest request);
  /// Answers a request, now or later; its client may have left meanwhile.
  void reply(uint64_t request, ipc::ControlReply reply);
  void refuse(uint64_t request, std::string why) { reply(request, {.error = std::move(why)}); }

  /// Passes a question on to children and answers with what they say, put together. Those that
  /// leave are asked first: what moves to the others meanwhile is found there.
  void ask(uint64_t request, const std::vector<class Child*>& children, std::string command,
           std::vector<std::string> arguments, ipc::Table head = {});
  /// Answers when the accounts of these clusters were read.
  void await_accounts(uint64_t request, std::vector<std::string> clusters);

  void on_answer(uint32_t child, ipc::Answer answer);
  void on_child_gone(uint32_t child);
  void on_accounts_checked(const ipc::AccountsChecked& checked);
  void on_outcome(const Outcome& outcome, const std::vector<uint64_t>& requests);

  inheritance::Control export_() const;
  /// From another program, whose place we have taken. The clients notice nothing.
  Result<> import_(inheritance::Control from);

 private:
  using Question = inheritance::Question;
  using Awaited = inheritance::Awaited;
  void on_connection(event::Bits what);
  using Asking = std::map<uint64_t, Question>::iterator;
  void ask_next(Asking question);
  void answered(Asking question, uint32_t child);
  void finish(Asking question);

  event::Loop& loop_;
  Master& master_;
  UnixSocket socket_;
  std::string path_;
  event::IoWatch watch_;
  std::list<std::unique_ptr<ControlClient>> clients_;
  std::map<uint64_t, Question> questions_;
  std::list<Awaited> awaited_;
  uint64_t next_request_ = 0, next_question_ = 0;
};

}  // namespace sluice::master
