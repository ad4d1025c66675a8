// One-line messages for people, to standard error or syslog. Thread-safe.
#pragma once

#include <fmt/core.h>

#include <string_view>

namespace ashlar {

enum class LogLevel { debug, info, warning, error };

enum class LogSink { standard_error, syslog };

// Messages below `level` are dropped. `ident` prefixes each line. Call before threads start; the default is warnings to
// standard error, so that tools are quiet.
void configure_log(std::string_view ident, LogLevel level, LogSink sink);

void log_line(LogLevel level, std::string_view line);

template <typename... Args>
void log(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
  log_line(level, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace ashlar
