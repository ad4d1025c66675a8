// ashlarctl stat MNT|DEVICE [--json]
#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "fs/base/standard_streams.h"
#include "fs/ctl/commands.h"
#include "fs/ctl/daemon_status.h"
#include "fs/ctl/mount_lookup.h"
#include "fs/format/text.h"

namespace ashlar::ctl {
namespace {

using nlohmann::json;

// A daemon of another version may leave figures out: they show as 0 or empty.
class Figures {
 public:
  explicit Figures(json values) : values_(std::move(values)) {}

  [[nodiscard]] const json& at(const char* path) const {
    const json::json_pointer pointer(path);
    return values_.contains(pointer) ? values_.at(pointer) : kNothing;
  }
  [[nodiscard]] std::uint64_t number(const char* path) const {
    const json& value = at(path);
    return value.is_number() ? value.get<std::uint64_t>() : 0;
  }
  [[nodiscard]] double real(const char* path) const {
    const json& value = at(path);
    return value.is_number() ? value.get<double>() : 0;
  }
  // Safe for a terminal.
  [[nodiscard]] std::string text(const char* path) const {
    const json& value = at(path);
    return value.is_string() ? format::printable(value.get<std::string>()) : std::string();
  }

 private:
  inline static const json kNothing;
  json values_;
};

template <typename Value>
void print_row(const char* name, const Value& value) {
  print("  {:<13} {}\n", name, value);
}

std::string duration_text(std::uint64_t nanoseconds) {
  if (nanoseconds < 1000) return fmt::format("{} ns", nanoseconds);
  const auto microseconds = static_cast<double>(nanoseconds) / 1e3;
  if (microseconds < 1e3) return fmt::format("{:.0f} us", microseconds);
  if (microseconds < 1e6) return fmt::format("{:.1f} ms", microseconds / 1e3);
  return fmt::format("{:.1f} s", microseconds / 1e6);
}

double ratio(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

std::string in_brackets(const std::string& text) { return text.empty() ? std::string() : fmt::format(" [{}]", text); }

void print_state(const Figures& status) {
  const std::string failure = status.text("/failure");
  std::string state = status.text("/state");
  if (!failure.empty()) state = fmt::format("read-only since a failure: {}", failure);
  print_row("state", state);
  print_row("errors=", status.text("/errors_policy"));
  print_row("device", status.text("/device"));
  print_row("label", status.text("/label").empty() ? "(none)" : status.text("/label"));
  print_row("uuid", status.text("/uuid"));
  print_row("I/O engine", fmt::format("{}{}, depth {}: {}", status.text("/io_engine/name"),
                                      in_brackets(status.text("/io_engine/flags")), status.number("/io_engine/depth"),
                                      status.text("/io_engine/reason")));
  if (const std::string dropped = status.text("/io_engine/dropped"); !dropped.empty()) {
    print_row("without", dropped);
  }
  print_row("FUSE through", fmt::format("{}: {}", status.text("/transport/name"), status.text("/transport/reason")));
}

void print_space(const Figures& status) {
  const std::uint64_t block_size = status.number("/space/block_size");
  const auto size = [&](const char* path) { return format::size_text(status.number(path) * block_size); };
  print_row("space",
            fmt::format("{} of {} free, {} for ordinary writers; {}", size("/space/free"), size("/space/blocks"),
                        size("/space/available"), format::count_text(status.number("/space/inodes"), "inode")));
  print_row("cache", fmt::format("{} of {}; {} nodes read, {} written, {} changed and not yet written",
                                 format::size_text(status.number("/nodes/cache_bytes")),
                                 format::size_text(status.number("/nodes/cache_limit")), status.number("/nodes/read"),
                                 status.number("/nodes/written"), status.number("/nodes/dirty")));
  print_row("log", fmt::format("{:.0f} % of {} in use", status.real("/log/fill") * 100,
                               format::size_text(status.number("/log/bytes"))));
  print_row("checkpoints",
            fmt::format("{}, generation {}", status.number("/checkpoints"), status.number("/generation")));
  print_row("transactions",
            fmt::format("{}, {} of log; {} replayed at mount", status.number("/log/records"),
                        format::size_text(status.number("/log/record_bytes")), status.number("/replayed/records")));
  const std::uint64_t answered = status.number("/fsync/answered");
  const std::uint64_t writes = status.number("/fsync/log_writes");
  const std::uint64_t flushes = status.number("/fsync/device_flushes");
  print_row("fsync", fmt::format("{} answered; {} log writes ({:.2f} each), {} device flushes ({:.2f} each)", answered,
                                 writes, ratio(writes, answered), flushes, ratio(flushes, answered)));
}

void print_discards(const Figures& status) {
  const std::uint64_t bytes = status.number("/discard/bytes");
  const json& online = status.at("/discard/online");
  if (const bool on = online.is_boolean() && online.get<bool>(); on || bytes != 0) {
    print_row("discarded", fmt::format("{}; option discard is {}", format::size_text(bytes), on ? "on" : "off"));
  }
}

void print_errors(const Figures& status) {
  const auto line = [&](const std::string& at) {
    return fmt::format("metadata {} found, {} healed; data {}", status.number((at + "/metadata").c_str()),
                       status.number((at + "/metadata_healed").c_str()), status.number((at + "/data").c_str()));
  };
  print_row("errors", line("/errors/since_mkfs"));
  print_row("  this mount", line("/errors/since_mount"));
}

void print_io(const Figures& status) {
  print("  {:<13} {:>10} {:>7} {:>12} {:>9} {:>9} {:>9}\n", "I/O", "completed", "failed", "bytes", "median", "99 %",
        "longest");
  for (const auto& [name, figures] : status.at("/io/operations").items()) {
    const Figures one(figures);
    print("    {:<11} {:>10} {:>7} {:>12} {:>9} {:>9} {:>9}\n", format::printable(name), one.number("/completed"),
          one.number("/failed"), format::size_text(one.number("/bytes")), duration_text(one.number("/latency_ns/p50")),
          duration_text(one.number("/latency_ns/p99")), duration_text(one.number("/latency_ns/max")));
  }
  print_row("  transfers",
            fmt::format("{} steps, {} merged, {} repeated, {} shortened, at most {} in flight",
                        status.number("/io/steps"), status.number("/io/merged"), status.number("/io/retried"),
                        status.number("/io/shortened"), status.number("/io/most_in_flight")));
}

}  // namespace

Status show_status(const StatOptions& options) {
  const std::string mount_point = TRY(find_mount_point(options.target));
  json status = TRY(read_status(mount_point));
  if (options.json) {
    print("{}\n", status.dump(2));
    return {};
  }
  print("AshlarFS volume at {}\n", mount_point);
  const Figures figures(std::move(status));
  print_state(figures);
  print_space(figures);
  print_discards(figures);
  print_errors(figures);
  print_io(figures);
  return {};
}

}  // namespace ashlar::ctl
