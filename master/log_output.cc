#include "master/log_output.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <syslog.h>
#include <unistd.h>

#include <chrono>

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
  if (config.target == config::LogTarget::syslog)
    ::openlog("sluice", LOG_NDELAY, facility_of(config.facility));
  file_ = std::move(file);
  config_ = config;
  log::set_level(config.level);
  return {};
}

Result<> LogOutput::rotate() {
  if (config_.target == config::LogTarget::file) file_ = SLUICE_TRY(open_file(config_.file));
  return {};
}

void LogOutput::write(std::string_view process, log::Level level, std::string_view component,
                      std::string_view text) {
  if (config_.target == config::LogTarget::syslog) {
    const auto line = fmt::format("{}: {}: {}", process, component, text);
    ::syslog(priority_of(level), "%s", line.c_str());
    return;
  }
  const auto line =
      fmt::format("{} {} {}: {}: {}\n", timestamp(), log::name(level), process, component, text);
  const int fd = config_.target == config::LogTarget::file ? file_.get() : STDERR_FILENO;
  // A full disk must not stop the service: what can't be written is lost.
  if (::write(fd, line.data(), line.size()) < 0) return;
}

void LogOutput::take_over() {
  log::set_sink(&LogOutput::sink, this);
}

void LogOutput::sink(void* self, log::Level level, std::string_view component,
                     std::string_view text) {
  static const std::string own = fmt::format("sluiced[{}]", ::getpid());
  static_cast<LogOutput*>(self)->write(own, level, component, text);
}

}  // namespace sluice::master
