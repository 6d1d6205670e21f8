#include "master/log_output.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

namespace sluice::master {
namespace {

int facility_of(std::string_view name) {
  struct Facility {
    std::string_view name;
    int value;
  };
  static constexpr Facility kFacilities[] = {
      {"daemon", LOG_DAEMON},     {"user", LOG_USER},     {"auth", LOG_AUTH},
      {"authpriv", LOG_AUTHPRIV}, {"local0", LOG_LOCAL0}, {"local1", LOG_LOCAL1},
      {"local2", LOG_LOCAL2},     {"local3", LOG_LOCAL3}, {"local4", LOG_LOCAL4},
      {"local5", LOG_LOCAL5},     {"local6", LOG_LOCAL6}, {"local7", LOG_LOCAL7}};
  for (const auto& facility : kFacilities)
    if (facility.name == name) return facility.value;
  return LOG_DAEMON;
}

int priority_of(log::Level level) {
  switch (level) {
    case log::Level::error:
      return LOG_ERR;
    case log::Level::warning:
      return LOG_WARNING;
    case log::Level::notice:
      return LOG_NOTICE;
    case log::Level::info:
      return LOG_INFO;
    case log::Level::debug:
      return LOG_DEBUG;
  }
  return LOG_INFO;
}

Result<UniqueFd> open_file(const std::string& path) {
  // O_NONBLOCK: a FIFO whose reader is missing is an error, one whose reader is slow loses lines;
  // neither stops the master.
  UniqueFd fd(::open(path.c_str(),
                     O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640));
  if (!fd) return fail_errno("open the log file " + path);
  return fd;
}

/// The socket of the system's log. Not by syslog(3), which waits for a log daemon that is stopped.
UniqueFd connect_syslog() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::strcpy(address.sun_path, "/dev/log");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return {};
  return fd;
}

/// Whether all of it was taken at once. A descriptor that others share can't be made non-blocking;
/// one that can be written to takes PIPE_BUF bytes.
bool write_at_once(int fd, std::string_view text) {
  while (!text.empty()) {
    pollfd ready{.fd = fd, .events = POLLOUT, .revents = 0};
    if (::poll(&ready, 1, 0) != 1) return false;
    const auto written = ::write(fd, text.data(), std::min<std::size_t>(text.size(), PIPE_BUF));
    if (written < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

const std::string& own_name() {
  static const std::string name = fmt::format("sluiced[{}]", ::getpid());
  return name;
}

std::string timestamp() {
  using namespace std::chrono;
  const auto now = system_clock::now();
  const auto ms = duration_cast<milliseconds>(now.time_since_epoch()).count() % 1000;
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(system_clock::to_time_t(now)), ms);
}

}  // namespace

Result<> LogOutput::open(const config::Log& config) {
  UniqueFd file;
  if (config.target == config::LogTarget::file) file = SLUICE_TRY(open_file(config.file));
  if (config.target == config::LogTarget::syslog) file = connect_syslog();
  file_ = std::move(file);
  config_ = config;
  log::set_level(config.level);
  return {};
}

inheritance::Log LogOutput::export_() const {
  return {.config = config_, .level = log::level(), .file = {file_.get()}};
}

void LogOutput::import_(inheritance::Log from) {
  config_ = std::move(from.config);
  file_ = inheritance::own(from.file);
  log::set_level(from.level);
}

Result<> LogOutput::rotate() {
  if (config_.target == config::LogTarget::file) file_ = SLUICE_TRY(open_file(config_.file));
  return {};
}

void LogOutput::write(std::string_view process, log::Level level, std::string_view component,
                      std::string_view text) {
  if (lost_ > 0) {
    const auto lost = fmt::format("lines lost: the log could not be written count={}", lost_);
    if (put(own_name(), log::Level::warning, "log", lost)) lost_ = 0;
  }
  if (!put(process, level, component, text)) ++lost_;
}

bool LogOutput::put(std::string_view process, log::Level level, std::string_view component,
                    std::string_view text) {
  if (config_.target == config::LogTarget::syslog) {
    const auto line = fmt::format(
        "<{}>{:%b %e %H:%M:%S} sluice: {}: {}: {}",
        facility_of(config_.facility) | priority_of(level),
        fmt::localtime(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())),
        process, component, text);
    const auto send = [&] {
      return file_ && ::send(file_.get(), line.data(), line.size(), MSG_NOSIGNAL) >= 0;
    };
    if (send()) return true;
    if (file_ && (errno == EAGAIN || errno == EMSGSIZE)) return false;
    file_ = connect_syslog();  // the daemon was started anew, or for the first time
    return send();
  }
  const auto line =
      fmt::format("{} {} {}: {}: {}\n", timestamp(), log::name(level), process, component, text);
  return write_at_once(config_.target == config::LogTarget::file ? file_.get() : STDERR_FILENO,
                       line);
}

void LogOutput::take_over() {
  log::set_sink(&LogOutput::sink, this);
}

void LogOutput::sink(void* self, log::Level level, std::string_view component,
                     std::string_view text) {
  static_cast<LogOutput*>(self)->write(own_name(), level, component, text);
}

}  // namespace sluice::master
