/// Logins through sluice against logins at the server itself: random accounts, random clients,
/// every mode of identity. The truth is always what a real server says; sluice's own matching is
/// nowhere asked. A client gets exactly what it would get from the address that it is judged by, or
/// it is refused; and it is refused only where the server would give sluice's connection something
/// else (DESIGN 7).
///
/// SLUICE_SEED makes another run, SLUICE_PAIRS a longer one. A difference is printed as the SQL
/// that shows it, with as few accounts as it takes.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <mysqld_error.h>

#include <algorithm>
#include <map>
#include <set>

#include "tests/support/login_world.h"

namespace sluice::test {
namespace {

constexpr unsigned kThreads = 300;  // most of them wait: a refused login may take a second
constexpr int kClientsOfASet = 150, kPathsOfAClient = 3;
constexpr const char* kNobody = "none";

/// One client on one way through sluice.
struct Trial {
  LoginClient client;
  const LoginPath* path = nullptr;
};

std::string shown(const Trial& trial) {
  const auto& attempt = trial.client.attempt;
  return fmt::format(
      "user '{}', password '{}', database '{}', from {}, by {}{}{}{}{}{}", attempt.user,
      attempt.password, attempt.database,
      trial.client.address.empty() ? "the socket" : trial.client.address, trial.path->service,
      attempt.tls.on ? ", TLS " + attempt.tls.cipher + attempt.tls.certificate.certificate : "",
      attempt.handles_expiry ? ", handles expiry" : "",
      attempt.collation == LoginAttempt::kUtf8 ? "" : ", latin1",
      attempt.first_as.empty() ? "" : ", by COM_CHANGE_USER",
      trial.client.binary_header ? ", binary header" : "");
}

// What servers say.

/// Attempts, each made once however many trials need it.
class Attempts {
 public:
  std::size_t add(const LoginAttempt& a) {
    const auto key =
        fmt::format("{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}", a.host, a.port, a.socket,
                    a.bind_address, a.header, a.user, a.password, a.database, a.collation, a.tls.on,
                    a.tls.certificate.certificate, a.tls.cipher, a.handles_expiry, a.first_as);
    const auto [found, is_new] = known_.try_emplace(key, all_.size());
    if (is_new) all_.push_back(a);
    return found->second;
  }
  void make(const std::vector<std::string>& databases) {
    outcomes_ = try_logins(all_, databases, kThreads);
  }
  const LoginOutcome& outcome(std::size_t number) const { return outcomes_[number]; }
  std::size_t size() const { return all_.size(); }

 private:
  std::vector<LoginAttempt> all_;
  std::map<std::string, std::size_t> known_;
  std::vector<LoginOutcome> outcomes_;
};

/// Numbers of the attempts that make up a LoginTruth.
struct TruthNumbers {
  std::size_t own, seen, seen_encrypted_as_client, own_row, seen_row;
};

TruthNumbers ask_for_truth(const LoginWorld& world, const Trial& trial, Attempts& attempts) {
  const auto judged = world.judged(*trial.path, trial.client);
  auto as_sluice = trial.client;
  as_sluice.attempt.tls = world.proxy_tls(*trial.path);
  return {attempts.add(world.directly(trial.client, judged.by)),
          attempts.add(world.directly(as_sluice, judged.seen)),
          attempts.add(world.directly(trial.client, judged.seen)),
          attempts.add(world.at_oracle(trial.client, judged.by)),
          attempts.add(world.at_oracle(trial.client, judged.seen))};
}

LoginTruth truth_of(const TruthNumbers& numbers, const Attempts& attempts) {
  const auto row = [&](std::size_t number) {
    const auto& outcome = attempts.outcome(number);
    return outcome.accepted() ? outcome.account : kNobody;
  };
  return {attempts.outcome(numbers.own), attempts.outcome(numbers.seen),
          attempts.outcome(numbers.seen_encrypted_as_client), row(numbers.own_row),
          row(numbers.seen_row)};
}

// What follows from it.

/// What sluice owes to a client.
enum class Due {
  own_account,  ///< exactly the truth, or the same error
  refusal,
};

Due due(const LoginPath& path, const Judged& judged, const LoginTruth& truth) {
  const bool same_row = truth.own_row == truth.seen_row;
  if (!path.allows_mismatch || judged.by == judged.seen)
    return same_row && truth.own.same_as(truth.seen) ? Due::own_account : Due::refusal;
  const bool usable = truth.own_row != kNobody && truth.seen.accepted() &&
                      truth.seen_encrypted_as_client.accepted();
  return usable || (same_row && truth.own.same_as(truth.seen)) ? Due::own_account : Due::refusal;
}

bool is_denial(const LoginOutcome& outcome) {
  return outcome.error == ER_ACCESS_DENIED_ERROR ||
         outcome.error == ER_ACCESS_DENIED_NO_PASSWORD_ERROR;
}

/// Which of the two errors comes depends on the plugin that had the last word, and where nobody has
/// an account the server pretends to judge somebody else's (MariaDB sql/sql_acl.cc
/// find_mpvio_user()). What sluice dooms gets as far as a wrong proof gets. A stranger's host is
/// checked before or after, as a PROXY header might come or not; and a client in the middle of a
/// TLS handshake does not understand that error.
bool both_deny(const LoginTruth& truth, const LoginOutcome& through) {
  const auto denied = [&](const LoginOutcome& any) {
    return is_denial(any) || (truth.own_row == kNobody &&
                              (any.error == ER_HOST_NOT_PRIVILEGED || any.error == kTlsFailed));
  };
  return denied(truth.seen) && denied(through);
}

/// An error that tells a client no more than it may know: its own, or that of a login that fails.
bool fits(const LoginOutcome& through, const LoginTruth& truth) {
  const bool no_host = through.error == ER_HOST_NOT_PRIVILEGED && truth.own_row == kNobody;
  return is_denial(through) || no_host || through.error == truth.own.error ||
         through.error == truth.seen.error;
}

struct Report {
  std::string problem{};  ///< empty: as it should be
  bool excused = false;   ///< refused for privileges that no database in question shows
};

Report judge(LoginWorld& world, const AccountSet& accounts, const Trial& trial,
             const LoginTruth& truth, const LoginOutcome& through) {
  const auto judged = world.judged(*trial.path, trial.client);
  const auto told = fmt::format("from {}: {} (row {})\n  seen as {}: {} (row {})\n  through: {}",
                                judged.by, truth.own.describe(), truth.own_row, judged.seen,
                                truth.seen.describe(), truth.seen_row, through.describe());
  if (due(*trial.path, judged, truth) == Due::refusal) {
    if (through.accepted()) return {"let in, and must not be\n  " + told};
    return {fits(through, truth) ? "" : "another error\n  " + told};
  }
  if (through.same_as(truth.seen) || both_deny(truth, through)) return {};
  if (judged.by != judged.seen && is_denial(through) && !trial.path->allows_mismatch &&
      world.grants_differ(accounts, trial.client, judged))
    return {"", true};
  return {"not what is due\n  " + told};
}

struct Tally {
  std::size_t pairs = 0, logins = 0, trials = 0, excused = 0, unsteady = 0;
};

std::vector<LoginTruth> truths_of(const LoginWorld& world, const std::vector<Trial>& trials,
                                  Tally& tally) {
  Attempts direct;
  std::vector<TruthNumbers> numbers;
  for (const auto& trial : trials) numbers.push_back(ask_for_truth(world, trial, direct));
  direct.make(world.databases());
  tally.logins += direct.size();
  std::vector<LoginTruth> truths;
  for (const auto& number : numbers) truths.push_back(truth_of(number, direct));
  return truths;
}

/// A server that is asked a second time has the last word: once in many thousands it gives up in
/// the middle of a login that it accepts else.
Report judge_twice(LoginWorld& world, const AccountSet& accounts, const Trial& trial,
                   const LoginTruth& truth, const LoginOutcome& through, Tally& tally) {
  auto report = judge(world, accounts, trial, truth, through);
  if (report.problem.empty()) return report;
  auto again = truths_of(world, {trial}, tally)[0];
  if (again.own.same_as(truth.own) && again.seen.same_as(truth.seen)) return report;
  again.own_row = truth.own_row;  // the oracle may have other accounts by now
  again.seen_row = truth.seen_row;
  ++tally.unsteady;
  return judge(world, accounts, trial, again, through);
}

/// Puts the accounts in force and makes all trials.
std::vector<Report> compare(LoginWorld& world, const AccountSet& accounts,
                            const std::vector<Trial>& trials, Tally& tally) {
  world.set_accounts(accounts);
  const auto truths = truths_of(world, trials, tally);
  world.wait_loaded();
  std::vector<LoginAttempt> through;
  for (const auto& trial : trials) through.push_back(world.through(*trial.path, trial.client));
  const auto outcomes = try_logins(through, world.databases(), kThreads);
  tally.logins += through.size();
  std::vector<Report> reports;
  for (std::size_t i = 0; i < trials.size(); ++i)
    reports.push_back(judge_twice(world, accounts, trials[i], truths[i], outcomes[i], tally));
  return reports;
}

// The smallest set that shows a difference.

/// Takes parts of `list` away, ever smaller ones, while `shows` still holds.
template <class T>
void shrink(std::vector<T>& list, const auto& shows) {
  for (std::size_t part = std::max<std::size_t>(list.size() / 2, 1); !list.empty(); part /= 2) {
    for (std::size_t at = 0; at < list.size();) {
      auto all = list;
      const auto end = std::min(at + part, list.size());
      list.erase(list.begin() + static_cast<std::ptrdiff_t>(at),
                 list.begin() + static_cast<std::ptrdiff_t>(end));
      if (shows()) continue;
      list = std::move(all);
      at = end;
    }
    if (part <= 1) return;
  }
}

std::string smallest(LoginWorld& world, AccountSet accounts, const Trial& trial,
                     const Report& report) {
  const auto kind = [](const Report& any) { return any.problem.substr(0, any.problem.find('\n')); };
  Tally uncounted;
  const auto now = [&] { return compare(world, accounts, {trial}, uncounted)[0]; };
  const auto shows = [&] { return kind(now()) == kind(report); };
  if (!shows()) return "(it did not show again)\n" + world.accounts_sql(accounts);
  shrink(accounts.grants, shows);
  shrink(accounts.roles, shows);
  shrink(accounts.rows, shows);
  return now().problem + "\n" + world.accounts_sql(accounts);
}

// Clients.

LoginClient random_client(RandomAccounts& generator, const LoginWorld& world, bool has_base) {
  auto& random = generator.random();
  LoginClient client{.address = random.one_in(6) ? "" : random.any_of(world.palette().addresses)};
  auto& attempt = client.attempt;
  attempt.user = random.one_in(8)
                     ? random.any_of<std::string>({"nobody", "'u1'", "''", "r1", "'", "u1 "})
                     : generator.user();
  if (random.one_in(10)) attempt.user = "'" + attempt.user + "'";
  attempt.password =
      random.any_of<std::string>({"first", "first", "second", "second", "", "", "wrong"});
  attempt.database =
      random.any_of<std::string>({"", "", "", "shop", "shop1", "shop_1", "no_such_database"});
  if (random.one_in(3)) attempt.tls = random.any_of(world.tls_choices());
  attempt.handles_expiry = random.one_in(3);
  if (random.one_in(8)) attempt.collation = LoginAttempt::kLatin1;
  if (has_base && random.one_in(6)) attempt.first_as = "base";
  client.binary_header = random.one_in(2);
  return client;
}

bool can_come_that_way(const LoginPath& path, const LoginClient& client) {
  const bool real =
      client.address.empty() || client.address.starts_with("127.") || client.address == "::1";
  return path.takes_headers ? !client.address.empty() : real;
}

std::vector<Trial> random_trials(RandomAccounts& generator, const LoginWorld& world,
                                 bool has_base) {
  std::vector<Trial> trials;
  for (int i = 0; i < kClientsOfASet; ++i) {
    const auto client = random_client(generator, world, has_base);
    std::set<const LoginPath*> paths;
    while (paths.size() < kPathsOfAClient) {
      const auto& path = generator.random().any_of(world.paths());
      if (can_come_that_way(path, client)) paths.insert(&path);
    }
    for (const auto* path : paths) trials.push_back({client, path});
  }
  return trials;
}

// The test.

void run(const LoginWorldOptions& options, uint64_t pairs) {
  if (const auto why = LoginWorld::obstacle(options); !why.empty()) GTEST_SKIP() << why;
  const uint64_t seed = from_environment("SLUICE_SEED", 508000);
  pairs = from_environment("SLUICE_PAIRS", pairs);
  fmt::print("SLUICE_SEED={} SLUICE_PAIRS={}\n", seed, pairs);
  LoginWorld world(options);
  RandomAccounts generator(seed);
  Tally tally;
  for (int differences = 0; tally.pairs < pairs && differences < 3;) {
    auto accounts = generator.set(world.palette());
    // Where an anonymous account comes first for the proxy's address, `base` is rightly refused.
    const bool anonymous =
        std::ranges::any_of(accounts.rows, [](const auto& row) { return row.user.empty(); });
    const bool has_base = generator.random().one_in(2) && !anonymous;
    if (has_base) accounts.rows.push_back({.user = "base", .host = "%"});
    const auto trials = random_trials(generator, world, has_base);
    const auto reports = compare(world, accounts, trials, tally);
    tally.pairs += kClientsOfASet;
    tally.trials += trials.size();
    for (std::size_t i = 0; i < trials.size() && differences < 3; ++i) {
      if (reports[i].excused) ++tally.excused;
      if (reports[i].problem.empty()) continue;
      ++differences;
      fmt::print("{}\n{}\n", shown(trials[i]), reports[i].problem);  // making it small takes long
      ADD_FAILURE() << shown(trials[i]) << "\n"
                    << reports[i].problem << "\nseed " << seed << "; the smallest set:\n"
                    << smallest(world, accounts, trials[i], reports[i]);
    }
  }
  fmt::print("{} pairs, {} ways through sluice, {} logins, {} excused, {} unsteady\n", tally.pairs,
             tally.trials, tally.logins, tally.excused, tally.unsteady);
  EXPECT_LT(tally.excused, tally.trials / 20) << "refused for privileges that nobody sees";
  EXPECT_LT(tally.unsteady, 3 + tally.trials / 1000) << "the servers contradict themselves";
}

TEST(LoginDifferential, AServerThatResolvesNoNames) {
  run({}, 1800);
}

TEST(LoginDifferential, AServerThatResolvesNames) {
  run({.resolves_names = true, .proxy_address = "127.0.0.5"}, 1500);
}

TEST(LoginDifferential, ANewerServer) {
  run({.resolves_names = true, .proxy_address = "127.0.0.5", .release = MariadbRelease::Newer},
      300);
}

TEST(LoginDifferential, AnOlderServer) {
  run({.release = MariadbRelease::Older}, 300);
}

}  // namespace
}  // namespace sluice::test
