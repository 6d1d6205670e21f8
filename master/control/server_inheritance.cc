// The control socket as it passes from one program of the master to the next.
#include "master/control/server.h"

namespace sluice::master {

std::unique_ptr<ControlClient> ControlClient::import_(ControlServer& server,
                                                      inheritance::ControlClient from) {
  auto client = std::make_unique<ControlClient>(
      server, inheritance::import_(std::move(from.channel)), from.access, std::move(from.who));
  client->phase_ = static_cast<ipc::Phase>(from.phase);
  client->active_ns = from.active_ns;
  client->request = from.request;
  return client;
}

inheritance::ControlClient ControlClient::export_() const {
  return {.channel = inheritance::export_(channel_),
          .access = access_,
          .who = who_,
          .phase = phase_,
          .active_ns = active_ns,
          .request = request};
}

inheritance::Control ControlServer::export_() const {
  inheritance::Control out{.path = path_,
                           .socket = {socket_.fd.get()},
                           .inode = socket_.inode,
                           .awaited = {awaited_.begin(), awaited_.end()},
                           .next_request = next_request_,
                           .next_question = next_question_};
  for (const auto& client : clients_)
    if (!client->gone()) out.clients.push_back(client->export_());
  for (const auto& [id, question] : questions_) out.questions.push_back(question);
  return out;
}

Result<> ControlServer::import_(inheritance::Control from) {
  path_ = std::move(from.path);
  socket_ = {inheritance::own(from.socket), from.inode};
  awaited_.assign(std::make_move_iterator(from.awaited.begin()),
                  std::make_move_iterator(from.awaited.end()));
  next_request_ = from.next_request;
  next_question_ = from.next_question;
  for (auto& one : from.clients) clients_.push_back(ControlClient::import_(*this, std::move(one)));
  for (auto& question : from.questions) {
    const auto id = question.id;
    questions_.emplace(id, std::move(question));
  }
  for (auto& client : clients_) SLUICE_TRY(client->start(loop_));
  return watch_.start<&ControlServer::on_connection>(loop_, socket_.fd.get(), event::kRead, this);
}

}  // namespace sluice::master
