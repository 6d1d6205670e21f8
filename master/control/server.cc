#include "master/control/server.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/version.h"
#include "master/control/commands.h"

namespace sluice::master {
namespace {

constexpr std::size_t kMaxClients = 32, kMaxAdmins = 40;  // root is let in when others fill it
constexpr int64_t kIdleNs = 600 * kSecondNs;
constexpr int64_t kQuestionNs = 5 * kSecondNs;  // children answer in microseconds, or hang
constexpr int64_t kAccountsNs = 60 * kSecondNs;

bool in_group(int socket, gid_t primary, gid_t wanted) {
  if (primary == wanted) return true;
  std::vector<gid_t> groups(256);
  socklen_t size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) != 0) return false;
  groups.resize(size / sizeof(gid_t));
  return std::ranges::find(groups, wanted) != groups.end();
}

/// What the peer of the socket may do; nothing if it may not even look. Workers and monitor are of
/// the group, but command nobody: one of them could have been taken over.
std::optional<control::Access> access_of(int socket, const ucred& peer, const State& own) {
  if (peer.uid == 0 || peer.uid == ::geteuid()) return control::Access::admin;
  if (peer.uid != own.uid && in_group(socket, peer.gid, own.gid)) return control::Access::operate;
  return std::nullopt;
}

/// A session that moved while workers were asked stands in the lists of both.
void list_once(std::vector<ipc::Row>& rows) {
  const auto name = [](const ipc::Row& row) {
    return row.cells.empty() ? std::string_view() : std::string_view(row.cells[0]);
  };
  const auto comes_first = [&](const auto& a, const auto& b) { return name(a) < name(b); };
  const auto is_same = [&](const auto& a, const auto& b) { return name(a) == name(b); };
  std::stable_sort(rows.begin(), rows.end(), comes_first);
  rows.erase(std::unique(rows.begin(), rows.end(), is_same), rows.end());
}

}  // namespace

ControlClient::ControlClient(ControlServer& server, ipc::Channel channel, control::Access access,
                             std::string who)
    : active_ns(monotonic_ns()),
      server_(server),
      channel_(std::move(channel)),
      access_(access),
      who_(std::move(who)) {}

Result<> ControlClient::start(event::Loop& loop) {
  SLUICE_TRY(watch_.start<&ControlClient::on_ready>(loop, channel_.fd(), event::kRead, this));
  update_interest();
  return {};
}

void ControlClient::on_ready(event::Bits what) {
  active_ns = monotonic_ns();
  if ((what & event::kWrite) && !channel_.flush()) gone_ = true;
  if ((what & event::kRead) && !gone_) {
    auto frame = channel_.receive();
    if (!frame) {
      if (frame.error().code == Errc::ipc_protocol)
        log::warning("control", "disconnected", log::kv("client", who_),
                     log::kv("reason", frame.error().message));
      gone_ = true;
    } else if (*frame) {
      if (auto ok = take(std::move(**frame)); !ok) {
        log::warning("control", "disconnected", log::kv("client", who_),
                     log::kv("reason", ok.error().message));
        gone_ = true;
      }
    }
  }
  if (!gone_) return update_interest();
  watch_.stop();
  channel_ = ipc::Channel(UniqueFd());  // closed at once; the server sweeps out what is left
}

Result<> ControlClient::take(ipc::Frame frame) {
  static constexpr auto kTable = std::to_array<ipc::Handler<ControlClient>>(
      {ipc::on<&ControlClient::on_hello>(), ipc::on<&ControlClient::on_control_request>()});
  return ipc::dispatch<ControlClient>(*this, kTable, ipc::Role::control, phase_, std::move(frame));
}

Result<> ControlClient::on_hello(ipc::Hello hello) {
  if (hello.role != ipc::Role::control || hello.protocol != ipc::kProtocolVersion)
    return fail(Errc::ipc_protocol, "not a control client of this protocol");
  phase_ = ipc::kServing;
  send(ipc::Hello{.role = ipc::Role::master, .release = std::string(kRelease)});
  return {};
}

Result<> ControlClient::on_control_request(ipc::ControlRequest message) {
  if (request != 0) return fail(Errc::ipc_protocol, "a request before the last was answered");
  server_.on_request(*this, std::move(message));
  return {};
}

void ControlClient::update_interest() {
  watch_.want(event::kRead | (channel_.wants_write() ? event::kWrite : 0));
}

void ControlServer::listen(UnixSocket socket, std::string path) {
  close();
  socket_ = std::move(socket);
  path_ = std::move(path);
  if (auto ok =
          watch_.start<&ControlServer::on_connection>(loop_, socket_.fd.get(), event::kRead, this);
      !ok)
    log::error("control", "cannot listen", log::kv("error", ok.error().message));
}

void ControlServer::close() {
  watch_.stop();
  if (socket_.fd) remove_unix(path_, socket_.inode);
  socket_ = {};
}

void ControlServer::on_connection(event::Bits) {
  UniqueFd peer(::accept4(socket_.fd.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!peer) return;
  std::erase_if(clients_, [](const auto& client) { return client->gone(); });
  ucred who{};
  socklen_t size = sizeof who;
  ::getsockopt(peer.get(), SOL_SOCKET, SO_PEERCRED, &who, &size);
  const auto access = access_of(peer.get(), who, master_.state());
  const auto name = fmt::format("uid={} pid={}", who.uid, who.pid);
  const auto most = access == control::Access::admin ? kMaxAdmins : kMaxClients;
  if (!access || clients_.size() >= most) {
    log::warning("control", "refused", log::kv("client", name),
                 log::kv("reason", access ? "too many clients" : "neither root nor of the group"));
    ipc::Channel channel(std::move(peer));
    (void)channel.send(ipc::ControlReply{
        .error = access ? "too many control clients"
                        : "permission denied: root or the group of sluice is needed, and "
                          "not the user that workers run as"});
    return;
  }
  auto& client = clients_.emplace_back(
      std::make_unique<ControlClient>(*this, ipc::Channel(std::move(peer)), *access, name));
  if (!client->start(loop_)) clients_.pop_back();
}

void ControlServer::on_request(ControlClient& client, ipc::ControlRequest request) {
  client.request = ++next_request_;
  const auto id = client.request;
  const auto* command = control::find_command(request.command);
  const auto handler = handler_of(request.command);
  if (command == nullptr || handler == nullptr)
    return refuse(id, "unknown command " + log::quoted(request.command));
  if (auto ok = control::check_arguments(*command, request.arguments); !ok)
    return refuse(id, ok.error().message);
  if (client.access() < command->access)
    return refuse(id, fmt::format("permission denied: {} is for {}", command->words,
                                  enum_name(command->access)));
  if (command->access != control::Access::view)
    log::notice("control", "command", log::kv("client", client.who()),
                log::kv("command", request.command),
                log::kv("arguments", fmt::format("{}", fmt::join(request.arguments, " "))));
  if (auto now = handler({master_, *this, id, request.arguments})) reply(id, std::move(*now));
}

void ControlServer::reply(uint64_t request, ipc::ControlReply answer) {
  if (request == 0) return;
  for (auto& client : clients_) {
    if (client->request != request) continue;
    client->request = 0;
    client->send(answer);
  }
}

void ControlServer::ask(uint64_t request, const std::vector<Child*>& children, std::string command,
                        std::vector<std::string> arguments, ipc::Table head) {
  const auto id = ++next_question_;
  Question question{.id = id,
                    .request = request,
                    .deadline_ns = monotonic_ns() + kQuestionNs,
                    .head = std::move(head),
                    .command = std::move(command),
                    .arguments = std::move(arguments)};
  for (const Child* child : children)
    (child->phase() == ipc::kDraining ? question.asked : question.later).push_back(child->number);
  const auto at = questions_.emplace(id, std::move(question)).first;
  for (Child* child : children)
    if (child->phase() == ipc::kDraining)
      child->send(ipc::Ask{id, at->second.command, at->second.arguments});
  if (at->second.asked.empty()) ask_next(at);
}

void ControlServer::ask_next(Asking at) {
  auto& question = at->second;
  for (const auto number : std::exchange(question.later, {})) {
    Child* child = master_.supervisor().child_by(number);
    if (child == nullptr || !(child->phase() & (ipc::kServing | ipc::kDraining))) continue;
    question.asked.push_back(number);
    child->send(ipc::Ask{at->first, question.command, question.arguments});
  }
  if (question.asked.empty()) finish(at);
}

void ControlServer::answered(Asking at, uint32_t child) {
  auto& question = at->second;
  if (std::erase(question.asked, child) > 0 && question.asked.empty())
    question.later.empty() ? finish(at) : ask_next(at);
}

/// What it had is with the others by now, or gone.
void ControlServer::on_child_gone(uint32_t child) {
  for (auto it = questions_.begin(); it != questions_.end();) answered(it++, child);
}

void ControlServer::on_answer(uint32_t child, ipc::Answer answer) {
  const auto at = questions_.find(answer.id);
  if (at == questions_.end()) return;  // came after its deadline
  auto& question = at->second;
  if (std::ranges::count(question.asked, child) == 0) return;  // nobody has asked it
  auto& table = question.reply.table;
  if (answer.error.empty()) {
    question.any_good = true;
    if (table.columns.empty())
      table = std::move(answer.table);
    else if (answer.table.columns.size() == table.columns.size())
      std::ranges::move(answer.table.rows, std::back_inserter(table.rows));
  } else {
    question.reply.error = std::move(answer.error);
  }
  answered(at, child);
}

void ControlServer::finish(Asking at) {
  auto question = std::move(at->second);
  questions_.erase(at);
  if (question.any_good) question.reply.error.clear();
  auto& table = question.reply.table;
  if (!question.head.columns.empty()) {  // our part of a record first, then what the child adds
    question.reply.error.clear();
    for (std::size_t i = 0; !table.rows.empty() && i < table.columns.size(); ++i) {
      if (std::ranges::find(question.head.columns, table.columns[i].name, &ipc::Column::name) !=
          question.head.columns.end())
        continue;
      question.head.columns.push_back(table.columns[i]);
      question.head.rows[0].cells.push_back(table.rows[0].cells[i]);
    }
    table = std::move(question.head);
  } else if (!table.columns.empty() && table.columns[0].name == "session") {
    list_once(table.rows);
  } else if (!question.any_good && question.reply.error.empty()) {
    question.reply.error = "no process can answer now";
  }
  reply(question.request, std::move(question.reply));
}

void ControlServer::await_accounts(uint64_t request, std::vector<std::string> clusters) {
  const auto now = monotonic_ns();
  awaited_.push_back({request, std::move(clusters), {}, now, now + kAccountsNs});
}

void ControlServer::on_accounts_checked(const ipc::AccountsChecked& checked) {
  for (auto it = awaited_.begin(); it != awaited_.end();) {
    if (checked.began_ns <
        it->asked_ns) {  // another load is to come, which shows what is there now
      ++it;
      continue;
    }
    if (std::erase(it->clusters, checked.cluster) > 0 && !checked.error.empty())
      it->errors +=
          fmt::format("{}{}: {}", it->errors.empty() ? "" : "; ", checked.cluster, checked.error);
    if (!it->clusters.empty()) {
      ++it;
      continue;
    }
    reply(it->request, {.error = it->errors, .message = "accounts are up to date"});
    it = awaited_.erase(it);
  }
}

void ControlServer::on_outcome(const Outcome& outcome, const std::vector<uint64_t>& requests) {
  for (const auto request : requests) {
    ipc::ControlReply answer;
    (outcome.done ? answer.message : answer.error) = outcome.text;
    if (outcome.done) answer.table = outcome.changes;
    if (outcome.done && !outcome.warnings.empty())
      answer.message += (outcome.text.empty() ? "" : "\n") + outcome.warnings;
    reply(request, std::move(answer));
  }
}

void ControlServer::tick() {
  const auto now = monotonic_ns();
  std::erase_if(clients_, [now](const auto& client) {
    return client->gone() || (client->request == 0 && now - client->active_ns > kIdleNs);
  });
  for (auto it = questions_.begin(); it != questions_.end();) {
    const auto at = it++;
    const auto deadline = at->second.deadline_ns;
    if (now < deadline && !at->second.later.empty() && now > deadline - kQuestionNs / 2)
      ask_next(at);  // one that leaves and hangs is not to hide the others
    if (now < deadline) continue;
    if (!at->second.any_good) at->second.reply.error = "no answer in time";
    finish(at);
  }
  for (auto it = awaited_.begin(); it != awaited_.end();) {
    if (now < it->deadline_ns) {
      ++it;
      continue;
    }
    refuse(it->request, "the accounts were not read in time");
    it = awaited_.erase(it);
  }
}

}  // namespace sluice::master
