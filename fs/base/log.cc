#include "fs/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/sinks/syslog_sink.h>
#include <spdlog/spdlog.h>
#include <syslog.h>

#include <string>

namespace ashlar {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::debug: return spdlog::level::debug;
    case LogLevel::info: return spdlog::level::info;
    case LogLevel::warning: return spdlog::level::warn;
    case LogLevel::error: return spdlog::level::err;
  }
  return spdlog::level::err;
}

std::shared_ptr<spdlog::logger> make_logger(const std::string& ident, LogLevel level, LogSink sink) {
  spdlog::sink_ptr target;
  if (sink == LogSink::syslog) {
    target = std::make_shared<spdlog::sinks::syslog_sink_mt>(ident, LOG_PID, LOG_DAEMON, false);
  } else {
    target = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  }
  auto logger = std::make_shared<spdlog::logger>(ident, target);
  logger->set_level(to_spdlog(level));
  logger->set_pattern(sink == LogSink::syslog ? "%v" : (ident.empty() ? "%v" : "%n: %v"));
  return logger;
}

// Configured once, before threads start; what it is until then is the quiet default of the header.
std::shared_ptr<spdlog::logger>& logger() {
  static std::shared_ptr<spdlog::logger> instance = make_logger("", LogLevel::warning, LogSink::standard_error);
  return instance;
}

}  // namespace

void configure_log(std::string_view ident, LogLevel level, LogSink sink) {
  logger() = make_logger(std::string(ident), level, sink);
}

void log_line(LogLevel level, std::string_view line) { logger()->log(to_spdlog(level), line); }

}  // namespace ashlar
