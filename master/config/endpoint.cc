#include "master/config/endpoint.h"

#include <fmt/format.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "common/base/networks.h"

namespace sluice::config {
namespace {

constexpr uint16_t kServerPort = 3306;
constexpr std::size_t kMaxHostName = 253;  // RFC 1035
constexpr std::size_t kMaxUnixPath = sizeof(sockaddr_un::sun_path) - 1;

bool is_host_name(std::string_view text) {
  const auto legal = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  };
  // Only digits and dots would be a mistyped address, not a name.
  return !text.empty() && text.size() <= kMaxHostName && text.front() != '.' &&
         text.front() != '-' && text.find("..") == std::string_view::npos &&
         std::ranges::all_of(text, legal) &&
         text.find_first_not_of("0123456789.") != std::string_view::npos;
}

template <class T>
std::optional<T> parse_number(std::string_view text) {
  T number{};
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (text.empty() || error != std::errc{} || rest != end) return std::nullopt;
  return number;
}

/// Host and port, apart but not judged. IPv6 needs its brackets, or the port would be ambiguous.
struct Parts {
  std::string host;
  std::optional<std::string_view> port;
  bool bracketed = false;
};
Taken<Parts> split(std::string_view text) {
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == std::string_view::npos) return refuse(fmt::format("\"{}\" lacks its \"]\"", text));
    const auto rest = text.substr(end + 1);
    if (!rest.empty() && rest.front() != ':')
      return refuse(fmt::format("\"{}\" has something other than a port behind its \"]\"", text));
    Parts parts{std::string(text.substr(1, end - 1)), std::nullopt, true};
    if (!rest.empty()) parts.port = rest.substr(1);
    return parts;
  }
  if (IpAddress::parse(text) && text.find(':') != std::string_view::npos)
    return refuse(fmt::format("IPv6 address \"{}\" without brackets", text),
                  fmt::format("write \"[{}]:{}\"", text, kServerPort));
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return Parts{std::string(text), std::nullopt, false};
  return Parts{std::string(text.substr(0, colon)), text.substr(colon + 1), false};
}

Taken<uint16_t> parse_port(std::string_view text) {
  const auto port = parse_number<uint16_t>(text);
  if (!port || *port == 0)
    return refuse(fmt::format("port \"{}\" is not a number from 1 to 65535", text));
  return *port;
}

/// A host as an address in its canonical text; nothing if it is none.
std::optional<std::string> canonical(const Parts& parts) {
  const auto address = IpAddress::parse(parts.host);
  if (!address || (address->family == IpAddress::Family::v6) != parts.bracketed)
    return std::nullopt;
  return address->text();
}

}  // namespace

Taken<Endpoint> parse_server_address(std::string_view text) {
  if (text.starts_with('/'))
    return refuse("a server is reached by TCP, not by a Unix socket",
                  "write its address, such as \"127.0.0.1:3306\"");
  const auto parts = split(text);
  if (!parts) return tl::unexpected(parts.error());
  Endpoint endpoint{"", kServerPort, ""};
  if (parts->port) {
    const auto port = parse_port(*parts->port);
    if (!port) return tl::unexpected(port.error());
    endpoint.port = *port;
  }
  if (auto address = canonical(*parts))
    endpoint.host = std::move(*address);
  else if (!parts->bracketed && is_host_name(parts->host))
    endpoint.host = parts->host;
  else
    return refuse(
        fmt::format("\"{}\" is neither an address nor a host name", parts->host),
        "write for example \"10.0.0.11:3306\", \"[fd00::11]:3306\" or \"db1.example.org\"");
  return endpoint;
}

Taken<Endpoint> parse_listen_address(std::string_view text) {
  if (text.starts_with('/')) {
    if (text.size() > kMaxUnixPath)
      return refuse(fmt::format("path of {} bytes; a Unix socket's has at most {}", text.size(),
                                kMaxUnixPath));
    if (text.find('\0') != std::string_view::npos) return refuse("path with a NUL byte");
    return Endpoint{"", 0, std::string(text)};
  }
  const auto parts = split(text);
  if (!parts) return tl::unexpected(parts.error());
  if (parts->host.empty() || parts->host == "*")
    return refuse(fmt::format("\"{}\" names no address", text),
                  fmt::format("for all addresses: \"0.0.0.0:{0}\" and \"[::]:{0}\"",
                              parts->port.value_or("3306")));
  auto host = canonical(*parts);
  if (!host)
    return refuse(
        fmt::format("\"{}\" is not an IP address", parts->host),
        fmt::format("{} addresses such as \"127.0.0.1:3306\", \"[::1]:3306\", or the "
                    "absolute path of a Unix socket",
                    is_host_name(parts->host) ? "host names can't be listened on; use" : "use"));
  if (!parts->port)
    return refuse(fmt::format("\"{}\" has no port", text),
                  fmt::format("write \"{}\"", Endpoint{*host, kServerPort, ""}.text()));
  const auto port = parse_port(*parts->port);
  if (!port) return tl::unexpected(port.error());
  return Endpoint{std::move(*host), *port, ""};
}

Taken<std::string> parse_network(std::string_view text) {
  const auto network = IpNetwork::parse(text);
  if (!network)
    return refuse(network.error().message,
                  "write for example \"10.0.0.0/8\", \"fd00::/8\" or one address");
  if (text.find('/') == std::string_view::npos) return network->address.text();
  const auto base = network->base();
  if (base != *network)
    return refuse(fmt::format("\"{}\" has bits behind its prefix", text),
                  fmt::format("did you mean \"{}\"?", base.text()));
  return base.text();
}

bool covers(const Endpoint& wide, const Endpoint& other) {
  if (wide.is_unix() || other.is_unix() || wide.port != other.port) return false;
  const bool v6 = other.host.find(':') != std::string::npos;
  return wide.host == (v6 ? "::" : "0.0.0.0");  // "[::]" is IPv6 alone (IPV6_V6ONLY)
}

bool overlap(const Endpoint& a, const Endpoint& b) {
  return a == b || covers(a, b) || covers(b, a);
}

}  // namespace sluice::config
