// Who failed to log in lately, by address, seen by all workers together: a part of the statistics
// page. An address with many failures gets its logins one after the other, some a second, however
// many connections it opens; a user who logged in from there a moment ago is not held up by others'
// failures. A hash table without chains: what collides shares a place, which can only slow.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice::stats {

/// Lives in shared memory; zeroes are an empty one.
struct LoginGuardPage {
  static constexpr std::size_t kAddresses = 4096, kUsers = 8192;
  struct Address {
    std::atomic<uint64_t> failures;  ///< how many, and when the last one was (see pack())
    std::atomic<int64_t> next_ns;    ///< when the next login of a slowed address may go on
  };
  std::array<Address, kAddresses> addresses;
  std::array<std::atomic<uint64_t>, kUsers> good;  ///< when an address and user last logged in
};

class LoginGuard {
 public:
  /// Between two logins of a slowed address.
  static constexpr int64_t kPaceNs = 100'000'000;
  /// Who would have to wait longer is better told so.
  static constexpr int64_t kMostNs = 5'000'000'000;

  explicit LoginGuard(LoginGuardPage& page) : page_(page) {}

  /// When a login may go on that begins now: now, or later, where the address has failed more than
  /// `allowed` times (they are forgotten, one a second). Nothing: too many wait already.
  std::optional<int64_t> admit(std::string_view ip, std::string_view user, uint32_t allowed,
                               int64_t now_ns);
  void failed(std::string_view ip, std::string_view user, int64_t now_ns);
  void succeeded(std::string_view ip, std::string_view user, int64_t now_ns);

 private:
  LoginGuardPage& page_;
};

}  // namespace sluice::stats
