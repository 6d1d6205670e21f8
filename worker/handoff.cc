#include "worker/handoff.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/process/memory.h"
#include "worker/session/movable.h"
#include "worker/sessions_table.h"
#include "worker/worker.h"

namespace sluice::worker {
namespace {

/// So many sessions stand still at a time.
constexpr std::size_t kOffersAtATime = 32;
/// Clients want their turn, too.
constexpr int kFramesATurn = 16;
/// Sessions, between two times that memory is given back, which takes a moment.
constexpr uint64_t kReleaseAtLeast = 64;
constexpr auto kLookInterval = std::chrono::milliseconds(10);
/// A taker that has not answered until then gets them when it does.
constexpr int64_t kPatienceNs = 2 * kSecondNs;

/// Where the server of one side is, by the configuration; empty for the client's.
std::string address_of(const ServiceEntry& service, const SessionState& s, Side side) {
  if (side == Side::client || (side == Side::reader && !s.split)) return {};
  const auto& name = side == Side::server ? s.home.server : s.split->reader.server;
  const auto& servers = service.cluster->config.servers;
  const auto found = std::ranges::find(servers, name, &config::Server::name);
  return found == servers.end() ? std::string() : found->address.text();
}

/// An encrypted connection that comes from another process.
Result<std::unique_ptr<tls::Layer>> resumed(Bytes& encoded, const tls::Info* info) {
  auto records = ipc::decode<tls::RecordsState>(encoded);
  wipe(encoded);
  if (!records || info == nullptr) return fail(Errc::bad_input, "its TLS is malformed");
  return tls::resume(std::move(*records), *info);
}

}  // namespace

// The giver.

struct Giver::Handlers {
  static constexpr auto kTable =
      std::to_array<ipc::Handler<Giver>>({ipc::on<&Giver::on_session_taken>()});
};

Result<> Giver::start() {
  SLUICE_TRY((watch_.start<&Giver::on_ready>(worker_.loop(), channel_.fd(), event::kRead, this)));
  tell_passwords();
  // Else there would be two of everything when the last one goes.
  release_every_ = std::max(kReleaseAtLeast, uint64_t{worker_.session_ids().size()} / 8);
  look_.every<&Giver::on_look>(worker_.loop(), kLookInterval, this);
  on_look();
  return {};
}

void Giver::stop() {
  if (std::exchange(over_, true)) return;
  look_.stop();
  take_all_back();
}

/// Best effort where the taker is gone: then it has nothing that it could go on with.
void Giver::take_all_back() {
  for (const auto& [number, offer] : std::exchange(offers_, {})) {
    (void)channel_.send(ipc::GiveSession{number, false});
    go_on_with(offer.session);
  }
  update_interest();
}

void Giver::on_ready(event::Bits what) {
  worker_.read_clock();
  if ((what & event::kWrite) && !channel_.flush()) lose("it does not read");
  if (what & event::kRead) receive();
  update_interest();
  worker_.leave_if_done();
}

void Giver::receive() {
  for (int i = 0; i < kFramesATurn && !gone_; ++i) {
    auto frame = channel_.receive();
    if (!frame) return lose(frame.error().message);
    if (!*frame) break;
    if (auto ok = ipc::dispatch<Giver>(*this, Handlers::kTable, ipc::Role::worker, ipc::kDraining,
                                       std::move(**frame));
        !ok)
      return lose(ok.error().message);
  }
  if (!over_) go_on();
}

/// The taker is dead, or has gone mad: it has what it was given, and we have the rest. The master
/// says who takes them next.
void Giver::lose(std::string_view why) {
  gone_ = true;
  if (!std::exchange(over_, true))
    log::warning("handoff", "the successor is gone: sessions stay here", log::kv("reason", why),
                 log::kv("given", given_));
  look_.stop();
  take_all_back();
  watch_.stop();
}

void Giver::on_look() {
  worker_.read_clock();
  if (!offers_.empty() && offers_.begin()->second.by_ns <= worker_.now_ns()) {
    log::warning("handoff", "the successor does not answer: sessions stay here for now",
                 log::kv("given", given_));
    hangs_ = true;
    take_all_back();
  }
  candidates_ = worker_.session_ids();
  go_on();
  update_interest();
}

void Giver::go_on() {
  while (!hangs_ && !candidates_.empty() && offers_.size() < kOffersAtATime &&
         !channel_.wants_write()) {
    const auto id = candidates_.back();
    candidates_.pop_back();
    auto* session = worker_.session(id);
    if (session == nullptr || session->frozen() || refused_.contains(id)) continue;
    if (session->why_stays().empty()) offer(*session);
    if (over_) return;
  }
}

/// Logins end here that had begun: what they have shown since is news to the taker.
void Giver::tell_passwords() {
  worker_.tell_passwords(channel_, std::exchange(passwords_told_ns_, worker_.now_ns()));
}

void Giver::offer(Session& session) {
  tell_passwords();
  auto parcel = session.freeze();
  ipc::OfferSession message{
      .number = ++offered_, .version = kStateVersion, .legs = {}, .state = std::move(parcel.state)};
  for (auto& leg : parcel.legs)
    message.legs.push_back({static_cast<uint32_t>(leg.side), std::move(leg.tls),
                            address_of(session.service(), session.state(), leg.side)});
  std::vector<int> fds;
  for (const auto& leg : parcel.legs) fds.push_back(leg.fd);
  offers_[message.number] = {session.state().id, worker_.now_ns() + kPatienceNs};
  const auto sent = channel_.send(message, fds);
  wipe(message.state);
  for (auto& leg : message.legs) wipe(leg.tls);
  if (!sent) lose(sent.error().message);
}

void Giver::go_on_with(uint64_t id) {
  auto* session = worker_.session(id);
  if (session != nullptr && session->thaw()) session->view_changed();
}

bool Giver::take_back(Session& session) {
  for (const auto& [number, offer] : offers_) {
    if (offer.session != session.state().id) continue;
    (void)channel_.send(ipc::GiveSession{number, false});
    offers_.erase(number);
    update_interest();
    break;
  }
  return session.thaw();
}

Result<> Giver::on_session_taken(ipc::SessionTaken message) {
  const auto offer = offers_.find(message.number);
  hangs_ = false;
  if (offer == offers_.end()) {
    if (message.number > offered_) return fail(Errc::ipc_protocol, "an answer to no offer");
    return {};  // it was taken back
  }
  const auto id = offer->second.session;
  offers_.erase(offer);
  auto* session = worker_.session(id);
  if (session == nullptr) return fail(Errc::internal, "an offered session is gone");
  if (message.refused.empty()) {
    give(*session, message.number);
  } else {
    log::info("handoff", "a session stays", log::kv("session", session_name(id)),
              log::kv("reason", message.refused));
    refused_[id] = std::move(message.refused);
    go_on_with(id);
  }
  return {};
}

void Giver::give(Session& session, uint64_t number) {
  if (auto given = channel_.send(ipc::GiveSession{number, true}); !given) {
    go_on_with(session.state().id);
    return lose(given.error().message);
  }
  ++given_;
  session.go_away();
  if (given_ % release_every_ == 0) process::release_memory();
}

std::string_view Giver::why_refused(uint64_t session) const {
  const auto found = refused_.find(session);
  return found == refused_.end() ? std::string_view() : found->second;
}

void Giver::update_interest() {
  if (!gone_) watch_.want(event::kRead | (channel_.wants_write() ? event::kWrite : 0));
}

// The taker.

struct Taker::Handlers {
  static constexpr auto kTable = std::to_array<ipc::Handler<Taker>>({
      ipc::on<&Taker::on_offer_session>(),
      ipc::on<&Taker::on_give_session>(),
      ipc::on<&Taker::on_known_password>(),
  });
};

Result<> Taker::start() {
  return watch_.start<&Taker::on_ready>(worker_.loop(), channel_.fd(), event::kRead, this);
}

void Taker::on_ready(event::Bits what) {
  worker_.read_clock();
  if ((what & event::kWrite) && !channel_.flush()) return end();
  if (what & event::kRead) receive();
  update_interest();
}

void Taker::receive() {
  for (int i = 0; i < kFramesATurn && !over_; ++i) {
    auto frame = channel_.receive();
    if (!frame && frame.error().code == Errc::ipc_protocol) return distrust(frame.error().message);
    if (!frame) return end();
    if (!*frame) return;
    if ((*frame)->fds_lost) {
      refuse_for_want_of_fds(**frame);
      continue;
    }
    if (auto ok = ipc::dispatch<Taker>(*this, Handlers::kTable, ipc::Role::worker, ipc::kServing,
                                       std::move(**frame));
        !ok)
      return distrust(ok.error().message);
  }
}

/// What it has offered it has still.
void Taker::distrust(std::string_view why) {
  log::error("handoff", "the giver broke the rules", log::kv("error", why));
  offers_.clear();
  end();
}

/// Where not even the number of the offer is known, the giver takes it back after a while.
void Taker::refuse_for_want_of_fds(const ipc::Frame& frame) {
  log::error("handoff", "no file descriptor is left for a session: it stays where it is");
  const auto offer = ipc::decode<ipc::OfferSession>(frame.body);
  if (frame.id == ipc::Declared<ipc::OfferSession>::kId && offer)
    (void)channel_.send(
        ipc::SessionTaken{offer->number, "the successor has no file descriptor left"});
}

/// A giver that is gone has left us what it offered.
void Taker::end() {
  if (std::exchange(over_, true)) return;
  watch_.stop();
  channel_ = ipc::Channel(UniqueFd());  // one that lives is to know that nobody listens
  for (auto& [number, offer] : std::exchange(offers_, {})) {
    ++taken_;
    worker_.take_over(*offer.service, std::move(offer.state), std::move(offer.legs));
  }
  if (taken_ > 0) {
    worker_.count_pins();
    log::notice("handoff", "sessions taken over", log::kv("count", taken_));
  }
  worker_.leave_if_done();
}

Result<Taker::Offer> Taker::judged(ipc::OfferSession message, std::vector<UniqueFd> fds) const {
  if (!worker_.takes_sessions())
    return fail(Errc::denied, "the successor is being replaced itself");
  if (message.version > kStateVersion) return fail(Errc::denied, "its state is of a later release");
  auto state = ipc::decode<SessionState>(message.state);
  wipe(message.state);
  if (!state) return fail(Errc::bad_input, "its state is malformed");
  if (const auto wrong = what_is_wrong(*state); !wrong.empty())
    return fail(Errc::bad_input, std::string(wrong));
  if (worker_.session(state->id) != nullptr) return fail(Errc::bad_input, "it is here already");
  Offer offer;
  offer.service = worker_.service_for(*state);
  if (offer.service == nullptr)
    return fail(Errc::denied, fmt::format("service {} is not configured any more, or not with its "
                                          "servers",
                                          state->service));
  for (std::size_t i = 0; i < message.legs.size(); ++i) {
    auto& leg = message.legs[i];
    if (leg.side >= std::size(kSides)) return fail(Errc::bad_input, "a connection of no side");
    if (leg.address != address_of(*offer.service, *state, static_cast<Side>(leg.side)))
      return fail(Errc::denied, "its server has another address by now");
    Session::Arrival arrival{
        .side = static_cast<Side>(leg.side), .fd = std::move(fds[i]), .tls = {}};
    if (!leg.tls.empty())
      arrival.tls = SLUICE_TRY(resumed(leg.tls, tls_info(*state, arrival.side)));
    offer.legs.push_back(std::move(arrival));
  }
  offer.state = std::move(*state);
  if (!Session::fit(offer.state, offer.legs))
    return fail(Errc::bad_input, "a connection is missing");
  return offer;
}

Result<> Taker::on_offer_session(ipc::OfferSession message, std::vector<UniqueFd> fds) {
  const auto number = message.number;
  if (fds.size() != message.legs.size() || offers_.contains(number))
    return fail(Errc::ipc_protocol, "OfferSession: inconsistent");
  auto offer = judged(std::move(message), std::move(fds));
  // That the giver is gone is read in its turn: behind this there may be more of its offers.
  (void)channel_.send(ipc::SessionTaken{number, offer ? "" : offer.error().message});
  if (offer) offers_.emplace(number, std::move(*offer));
  return {};
}

Result<> Taker::on_give_session(ipc::GiveSession message) {
  auto offer = offers_.extract(message.number);
  if (!offer || !message.go) return {};  // refused, or taken back
  ++taken_;
  auto& [state, legs, service] = offer.mapped();
  worker_.take_over(*service, std::move(state), std::move(legs));
  if (!worker_.takes_sessions()) worker_.leave_if_done();
  return {};
}

void Taker::list(ipc::Table& table, std::string_view only) const {
  for (const auto& [number, offer] : offers_)
    if (only.empty() || session_name(offer.state.id) == only)
      table.rows.push_back(session_row(offer.state, {}, worker_.now_ns()));
}

Result<> Taker::on_known_password(ipc::KnownPassword message) {
  worker_.learn_password(message);
  return {};
}

void Taker::update_interest() {
  if (!over_) watch_.want(event::kRead | (channel_.wants_write() ? event::kWrite : 0));
}

}  // namespace sluice::worker
