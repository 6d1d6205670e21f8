// The master's end of a control socket, for tests of sluicectl: accepts one client in a thread of
// its own and plays a script on the connection.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include "common/ipc/channel.h"

namespace sluice::ctl {

/// A path for a socket in a directory that goes with the object.
class SocketPath {
 public:
  SocketPath() {
    char name[] = "/tmp/sluicectl-test-XXXXXX";
    folder_ = ::mkdtemp(name);
    std::filesystem::permissions(folder_, std::filesystem::perms(0755));
  }
  ~SocketPath() { std::filesystem::remove_all(folder_); }
  SocketPath(const SocketPath&) = delete;
  SocketPath& operator=(const SocketPath&) = delete;

  std::string str() const { return folder_ + "/control.sock"; }
  const std::string& folder() const { return folder_; }

  /// A listening socket at the path.
  UniqueFd listen(int type = SOCK_SEQPACKET) const {
    UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    str().copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(fd.get(), 4), 0);
    return fd;
  }

 private:
  std::string folder_;
};

class FakeMaster {
 public:
  using Script = std::function<void(ipc::Channel& client)>;

  explicit FakeMaster(Script script) : listener_(path_.listen()) {
    thread_ = std::thread([this, script = std::move(script)] {
      UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!fd) return;  // the test is over
      ipc::Channel client(std::move(fd));
      script(client);
    });
  }
  ~FakeMaster() {
    ::shutdown(listener_.get(), SHUT_RDWR);  // wakes an accept that nobody answered
    thread_.join();
  }

  std::string path() const { return path_.str(); }

  /// The next message, waited for; a default one if the client leaves.
  template <class Message>
  static Message next(ipc::Channel& client) {
    for (;;) {
      pollfd ready{client.fd(), POLLIN, 0};
      ::poll(&ready, 1, -1);
      auto frame = client.receive();
      if (!frame) return Message{};
      if (!*frame) continue;
      EXPECT_EQ((*frame)->id, ipc::Declared<Message>::kId);
      return ipc::decode<Message>((*frame)->body).value_or(Message{});
    }
  }

  static ipc::Hello hello() {
    ipc::Hello out;
    out.role = ipc::Role::master;
    out.release = "9.9.9";
    return out;
  }

  /// Greets, takes one request into `request`, and replies.
  static Script answering(ipc::ControlReply reply, ipc::ControlRequest* request = nullptr) {
    return [=](ipc::Channel& client) {
      EXPECT_EQ(next<ipc::Hello>(client).role, ipc::Role::control);
      EXPECT_TRUE(client.send(hello()));
      const auto asked = next<ipc::ControlRequest>(client);
      if (request != nullptr) *request = asked;
      EXPECT_TRUE(client.send(reply));
    };
  }

 private:
  SocketPath path_;
  UniqueFd listener_;
  std::thread thread_;
};

}  // namespace sluice::ctl
