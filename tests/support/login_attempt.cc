#include "tests/support/login_attempt.h"

#include <fmt/format.h>

#include <atomic>
#include <thread>

#include "tests/support/login_proof.h"

namespace sluice::test {
namespace {

// Capabilities, and the first bytes of packets.
constexpr uint32_t kLongPassword = 1, kWithDatabase = 8, kProtocol41 = 0x200, kTls = 0x800,
                   kTransactions = 0x2000, kSecure = 0x8000, kPluginAuth = 0x80000,
                   kHandlesExpiry = 0x400000;
constexpr char kOk = 0, kMoreData = 1, kSwitch = '\xFE', kError = '\xFF';
constexpr char kChangeUser = 0x11, kUse = 2, kQuery = 3, kQuit = 1;
constexpr char kFastProofIsGood = 3, kWantsPassword = 4, kAskKey = 2;

uint32_t number(std::string_view bytes) {
  uint32_t out = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) out = out << 8 | static_cast<uint8_t>(bytes[i]);
  return out;
}

std::string little_endian(uint32_t value, int bytes) {
  std::string out;
  for (; bytes > 0; --bytes, value >>= 8) out += static_cast<char>(value & 0xFF);
  return out;
}

/// The text up to a NUL, which goes too.
std::string take_text(std::string_view& bytes) {
  const auto end = std::min(bytes.find('\0'), bytes.size());
  std::string text(bytes.substr(0, end));
  bytes.remove_prefix(std::min(end + 1, bytes.size()));
  return text;
}

std::string with_length(const std::string& text) {
  return static_cast<char>(text.size()) + text;
}

/// One login as it goes on.
class Login {
 public:
  Login(const LoginAttempt& attempt, LoginWire& wire) : attempt_(attempt), wire_(wire) {}

  LoginOutcome run(std::span<const std::string> databases) {
    if (log_in()) look_around(databases);
    return std::move(out_);
  }

 private:
  bool log_in() {
    if (!attempt_.header.empty() && !wire_.send_raw(attempt_.header)) return lost();
    const bool changes = !attempt_.first_as.empty();
    if (!greet() || !ask_for_tls()) return false;
    if (!changes) return answer_greeting(attempt_.user, attempt_.password, attempt_.database);
    if (!answer_greeting(attempt_.first_as, "", "")) return false;
    password_ = attempt_.password;
    const auto proof = first_proof(plugin_, password_, scramble_).value_or("");
    const auto command = kChangeUser + attempt_.user + '\0' + with_length(proof) +
                         attempt_.database + '\0' + little_endian(attempt_.collation, 2) + plugin_ +
                         '\0';
    return (wire_.send_commands({command}) || lost()) && settle();
  }

  bool greet() {
    const auto packet = read();
    if (!packet) return false;
    std::string_view rest(*packet);
    rest.remove_prefix(1);
    take_text(rest);  // version
    scramble_ = rest.substr(4, 8);
    const auto capabilities = number(rest.substr(13, 2)) | number(rest.substr(18, 2)) << 16;
    offers_tls_ = (capabilities & kTls) != 0;
    rest.remove_prefix(31);
    scramble_ += rest.substr(0, 12);
    rest.remove_prefix(13);
    plugin_ = take_text(rest);
    return true;
  }

  std::string flags() const {
    uint32_t flags = kLongPassword | kProtocol41 | kTransactions | kSecure | kPluginAuth;
    if (attempt_.tls.on) flags |= kTls;
    if (attempt_.handles_expiry) flags |= kHandlesExpiry;
    if (!attempt_.database.empty() && attempt_.first_as.empty()) flags |= kWithDatabase;
    return little_endian(flags, 4) + little_endian(1 << 24, 4) +
           static_cast<char>(attempt_.collation) + std::string(23, '\0');
  }

  bool ask_for_tls() {
    if (!attempt_.tls.on) return true;
    if (offers_tls_ && wire_.send_packet(flags()) && wire_.encrypt(attempt_.tls)) return true;
    return fail(kTlsFailed, offers_tls_ ? "the handshake fails" : "the server offers no TLS");
  }

  bool answer_greeting(const std::string& user, const std::string& password,
                       const std::string& database) {
    password_ = password;
    if (!knows_plugin(plugin_)) plugin_ = "mysql_native_password";
    const auto proof = first_proof(plugin_, password, scramble_).value_or("");
    auto answer = flags() + user + '\0' + with_length(proof);
    if (!database.empty()) answer += database + '\0';
    return (wire_.send_packet(answer + plugin_ + '\0') || lost()) && settle();
  }

  /// Until the server has judged.
  bool settle() {
    for (;;) {
      const auto packet = read();
      if (!packet) return false;
      if ((*packet)[0] == kOk) return true;
      const bool goes_on = (*packet)[0] == kSwitch     ? take_up(*packet)
                           : (*packet)[0] == kMoreData ? answer_more(packet->substr(1))
                                                       : fail(kConnectionLost, "odd packet");
      if (!goes_on) return false;
    }
  }

  bool take_up(std::string_view packet) {
    packet.remove_prefix(1);
    plugin_ = take_text(packet);
    scramble_ = packet;
    const auto proof = first_proof(plugin_, password_, scramble_);
    if (!proof) return fail(kUnknownPlugin, plugin_);
    return wire_.send_packet(*proof) || lost();
  }

  /// caching_sha2_password, when the server does not remember the account.
  bool answer_more(const std::string& data) {
    if (data == std::string(1, kFastProofIsGood)) return true;
    if (data != std::string(1, kWantsPassword)) {
      const auto proof = encrypted_password(data, password_, scramble_);
      return proof ? wire_.send_packet(*proof) || lost() : fail(kConnectionLost, "no key");
    }
    const bool may_be_read_here = wire_.encrypted() || !attempt_.socket.empty();
    return wire_.send_packet(may_be_read_here ? password_ + '\0' : std::string(1, kAskKey)) ||
           lost();
  }

  void look_around(std::span<const std::string> databases) {
    std::vector<std::string> commands{kQuery + std::string("SELECT CURRENT_USER(), CURRENT_ROLE(), "
                                                           "DATABASE()")};
    for (const auto& database : databases) commands.push_back(kUse + database);
    commands.push_back(std::string(1, kQuit));
    if (!wire_.send_commands(commands)) return static_cast<void>(lost());
    if (!read_who_we_are()) return;
    for (std::size_t i = 0; i < databases.size(); ++i) {
      const auto packet = wire_.read_packet();
      if (!packet) return static_cast<void>(lost());
      out_.usable += (*packet)[0] == kError
                         ? fmt::format("({})", number(std::string_view(*packet).substr(1, 2)))
                         : "+";
    }
  }

  /// Columns, the end of columns, the row, the end of rows.
  bool read_who_we_are() {
    std::string* const fields[] = {&out_.account, &out_.role, &out_.database};
    for (std::size_t i = 0; i < 1 + std::size(fields) + 1 + 1 + 1; ++i) {
      const auto packet = wire_.read_packet();
      if (!packet) return lost();
      if ((*packet)[0] == kError) {
        out_.account = fmt::format("(error {})", number(std::string_view(*packet).substr(1, 2)));
        return true;
      }
      if (i != 1 + std::size(fields) + 1) continue;
      std::string_view rest(*packet);
      for (auto* field : fields) *field = take_cell(rest);
    }
    return true;
  }

  static std::string take_cell(std::string_view& rest) {
    const auto size = static_cast<uint8_t>(rest[0]);
    rest.remove_prefix(1);
    if (size == 0xFB) return "NULL";
    std::string cell(rest.substr(0, size));
    rest.remove_prefix(cell.size());
    return cell;
  }

  /// The next packet, unless it is an error.
  std::optional<std::string> read() {
    auto packet = wire_.read_packet();
    out_.packets = wire_.packets();
    if (!packet || packet->empty()) {
      lost();
      return std::nullopt;
    }
    if ((*packet)[0] != kError) return packet;
    std::string_view text(*packet);
    const auto code = number(text.substr(1, 2));
    text.remove_prefix(text.size() > 9 && text[3] == '#' ? 9 : 3);
    fail(code, std::string(text));
    return std::nullopt;
  }

  bool fail(unsigned error, std::string text) {
    out_.error = error;
    out_.text = std::move(text);
    return false;
  }
  /// With TLS 1.3 a client learns only then that the server does not like its certificate.
  bool lost() { return fail(attempt_.tls.on ? kTlsFailed : kConnectionLost, "lost"); }

  const LoginAttempt& attempt_;
  LoginWire& wire_;
  LoginOutcome out_;
  std::string password_, plugin_, scramble_;
  bool offers_tls_ = false;
};

}  // namespace

bool LoginOutcome::same_as(const LoginOutcome& other) const {
  return error == other.error && account == other.account && role == other.role &&
         database == other.database && usable == other.usable;
}

std::string LoginOutcome::describe() const {
  if (!accepted()) return fmt::format("error {} {}", error, text);
  return fmt::format("{} with role {} in {}, may use {}", account, role, database, usable);
}

LoginOutcome try_login(const LoginAttempt& attempt, std::span<const std::string> databases) {
  auto wire = LoginWire::connect(attempt);
  if (!wire) return {.error = kNobodyThere, .text = "nobody is there"};
  auto outcome = Login(attempt, *wire).run(databases);
  if (!wire->encrypted()) return outcome;
  outcome.session = wire->session();
  outcome.resumed = wire->resumed();
  return outcome;
}

std::vector<LoginOutcome> try_logins(std::span<const LoginAttempt> attempts,
                                     std::span<const std::string> databases, unsigned threads) {
  std::vector<LoginOutcome> outcomes(attempts.size());
  std::atomic<std::size_t> next{0};
  std::vector<std::jthread> workers;
  for (unsigned i = 0; i < std::min<std::size_t>(threads, attempts.size()); ++i)
    workers.emplace_back([&] {
      for (std::size_t at = next++; at < attempts.size(); at = next++)
        outcomes[at] = try_login(attempts[at], databases);
    });
  workers.clear();  // joins
  return outcomes;
}

}  // namespace sluice::test
