#include "common/accounts/host.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace sluice::accounts {
namespace {

constexpr char kMany = '%';
constexpr char kOne = '_';
constexpr char kEscape = '\\';

/// The servers fold names with utf8_general_ci's byte table, which knows ASCII only.
char fold(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same(char a, char b, Case letters) {
  return letters == Case::fold ? fold(a) == fold(b) : a == b;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// An escape counts only when a byte follows it.
bool is_escape(std::string_view pattern, std::size_t at) {
  return pattern[at] == kEscape && at + 1 < pattern.size();
}

/// Takes a decimal number of at most `limit` off the front of `text`, as str2int() does.
std::optional<uint32_t> take_number(std::string_view& text, uint32_t limit) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t\n\v\f\r"), text.size()));
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value > limit || (negative && value != 0)) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

/// Takes "a.b.c.d" off the front of `text`.
std::optional<uint32_t> take_ipv4(std::string_view& text) {
  uint32_t address = 0;
  for (int part = 0; part < 4; ++part) {
    if (part > 0) {
      if (!text.starts_with('.')) return std::nullopt;
      text.remove_prefix(1);
    }
    const auto value = take_number(text, 255);
    if (!value) return std::nullopt;
    address = (address << 8) | *value;
  }
  return address;
}

/// How a host pattern is made up, as MariaDB counts it.
struct PatternCounts {
  uint64_t literals = 0;
  uint64_t ones = 0;
  uint64_t manys = 0;   ///< groups: "%%" is one
  uint64_t prefix = 0;  ///< literals before the first wildcard; 0 if there is none
};

PatternCounts count(std::string_view host) {
  PatternCounts n;
  for (std::size_t i = 0; i < host.size(); ++i) {
    const bool wild = host[i] == kMany || host[i] == kOne;
    if (wild && n.manys == 0 && n.ones == 0) n.prefix = n.literals;
    if (host[i] == kMany) {
      ++n.manys;
      while (i + 1 < host.size() && host[i + 1] == kMany) ++i;
    } else if (host[i] == kOne) {
      ++n.ones;
    } else {
      if (is_escape(host, i)) ++i;
      ++n.literals;
    }
  }
  return n;
}

/// The set of texts that a pattern covers is measured by its wildcards: `spare` is how many bytes
/// the '%'s may stand for. The packing into one number is the server's, with its widths and limits.
uint64_t mariadb_specificity(std::string_view host, std::string_view user) {
  constexpr uint64_t kMaxHost = 255;
  constexpr uint64_t kLengths = kMaxHost + 1;
  constexpr uint64_t kMaxWild = 31;
  constexpr uint64_t kWilds = kMaxWild + 1;

  auto n = count(host.empty() ? "%" : host);
  n.manys = std::min(n.manys, kMaxWild);
  n.ones = std::min(n.ones, kMaxWild);
  const uint64_t fixed = std::min(n.literals + n.ones, kMaxHost);
  const uint64_t spare = n.manys > 0 ? kMaxHost - fixed : 0;
  const uint64_t covers =
      spare > n.ones
          ? (((spare * 2 + 1) * kLengths + n.manys) * kWilds + n.ones) * kLengths + n.prefix
          : ((n.ones * 2 * kLengths + spare) * kWilds + n.manys) * kLengths + n.prefix;
  return ~((covers << 1) | (user.empty() ? 1 : 0));
}

/// Literals 128; a pattern by the place of its first wildcard; "%" 1; an empty host 0.
uint64_t mysql_host_rank(std::string_view host) {
  if (host == "%") return 1;
  for (std::size_t i = 0; i < host.size(); ++i) {
    if (is_escape(host, i))
      ++i;
    else if (host[i] == kMany || host[i] == kOne)
      return std::min<uint64_t>(i + 2, 127);
  }
  return host.empty() ? 0 : 128;
}

uint64_t mysql_specificity(Flavour flavour, std::string_view host, std::string_view user) {
  const uint64_t named = user.empty() ? 0 : 1;
  const auto network = parse_network(flavour, host);
  if (!network || network->base == 0 || flavour == Flavour::mysql_old)
    return mysql_host_rank(host) << 1 | named;
  const uint64_t kind = 3 - static_cast<uint64_t>(network->kind);
  return kind << 40 | uint64_t{network->mask} << 1 | named;
}

bool is_localhost(std::string_view host) {
  return std::ranges::equal(host, std::string_view("localhost"), {}, fold);
}

/// Whether some IP address, as the servers write it, could fit the pattern.
bool may_cover_address(std::string_view host) {
  for (std::size_t i = 0; i < host.size(); ++i) {
    if (host[i] == kMany || host[i] == kOne) continue;
    if (is_escape(host, i)) ++i;
    const char c = fold(host[i]);
    if (!is_digit(c) && !(c >= 'a' && c <= 'f') && c != ':' && c != '.') return false;
  }
  return true;
}

}  // namespace

bool like(std::string_view pattern, std::string_view text, Case letters) {
  constexpr auto kNone = std::string_view::npos;
  std::size_t p = 0, t = 0;
  std::size_t after_many = kNone, retry = 0;  // where to go on when the rest does not fit
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == kMany) {
      after_many = ++p;
      retry = t;
      continue;
    }
    if (p < pattern.size()) {
      const std::size_t literal = is_escape(pattern, p) ? p + 1 : p;
      if (pattern[p] == kOne || same(pattern[literal], text[t], letters)) {
        p = literal + 1;
        ++t;
        continue;
      }
    }
    if (after_many == kNone) return false;
    p = after_many;  // the last % takes one more byte; earlier ones need not be tried again
    t = ++retry;
  }
  while (p < pattern.size() && pattern[p] == kMany) ++p;
  return p == pattern.size();
}

std::optional<uint32_t> parse_ipv4(std::string_view text) {
  const auto address = take_ipv4(text);
  if (!address || !text.empty()) return std::nullopt;
  return address;
}

std::optional<Network> parse_network(Flavour flavour, std::string_view host) {
  const auto base = take_ipv4(host);
  if (!base) return std::nullopt;
  if (host.empty()) {
    if (flavour != Flavour::mysql) return std::nullopt;  // compared as text
    return Network{*base, UINT32_MAX, Network::Kind::address};
  }
  if (!host.starts_with('/')) return std::nullopt;
  host.remove_prefix(1);
  if (const auto mask = parse_ipv4(host))
    return *mask != 0 ? std::optional(Network{*base, *mask, Network::Kind::netmask}) : std::nullopt;
  if (flavour != Flavour::mysql) return std::nullopt;
  const auto bits = take_number(host, 32);
  if (!bits || *bits == 0 || !host.empty()) return std::nullopt;
  return Network{*base, UINT32_MAX << (32 - *bits), Network::Kind::cidr};
}

bool host_matches(Flavour flavour, std::string_view host, const Peer& client) {
  if (const auto network = parse_network(flavour, host))
    if (const auto address = parse_ipv4(client.ip))
      return (*address & network->mask) == network->base;
  return host.empty() || (!client.name.empty() && like(host, client.name, Case::fold)) ||
         (!client.ip.empty() && like(host, client.ip, Case::exact));
}

bool is_plain(std::string_view host) {
  if (host.empty() || host.find_first_of("%_\\/") != std::string_view::npos) return false;
  const auto address = parse_ipv4(host);  // "10.01.2.3" is the number 10.1.2.3 to some servers
  return !address || host == fmt::format("{}.{}.{}.{}", *address >> 24, *address >> 16 & 255,
                                         *address >> 8 & 255, *address & 255);
}

int compare_folded(std::string_view a, std::string_view b) {
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const auto x = static_cast<unsigned char>(fold(a[i])),
               y = static_cast<unsigned char>(fold(b[i]));
    if (x != y) return x < y ? -1 : 1;
  }
  return a.size() == b.size() ? 0 : a.size() < b.size() ? -1 : 1;
}

uint64_t specificity(Flavour flavour, std::string_view host, std::string_view user) {
  return flavour == Flavour::mariadb ? mariadb_specificity(host, user)
                                     : mysql_specificity(flavour, host, user);
}

bool needs_resolving(std::string_view host) {
  if (is_localhost(host)) return false;
  if (host.find_first_of(":%_/") != std::string_view::npos) return false;
  return std::ranges::any_of(host, [](char c) { return c != '.' && !is_digit(c); });
}

bool may_cover_name(Flavour flavour, std::string_view host) {
  if (host.find_first_not_of(kMany) == std::string_view::npos || is_localhost(host)) return false;
  if (host.find_first_of(":/") != std::string_view::npos || parse_network(flavour, host))
    return false;
  return !looks_like_address(host);
}

bool looks_like_address(std::string_view name) {
  const auto number = name.substr(0, name.find_first_not_of("0123456789"));
  return !number.empty() && name.substr(number.size()).starts_with('.');
}

std::string_view host_problem(Flavour flavour, bool skip_name_resolve, std::string_view host) {
  if (host.find('/') != std::string_view::npos) {
    const auto network = parse_network(flavour, host);
    if (!network) return "not an address/netmask that the server understands: it covers nobody";
    if ((network->base & network->mask) != network->base)
      return "the address has bits outside its netmask: it covers nobody";
    return {};
  }
  if (!skip_name_resolve || may_cover_address(host) || like(host, "localhost", Case::fold))
    return {};
  return "host names are ignored: the server has skip_name_resolve on";
}

}  // namespace sluice::accounts
