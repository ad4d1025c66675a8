#include "fs/daemon/options.h"

#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include "fs/format/text.h"

namespace ashlar::daemon {
namespace {

constexpr std::uint64_t kMinCache = 8ULL << 20;
constexpr std::uint64_t kMaxCommitSeconds = 3600;
constexpr std::uint64_t kMaxThreads = 64;
// The name that mount(8) looks for.
constexpr const char* kHelperName = "mount.ashlarfs";

// For the kernel and libfuse, passed on as they are.
constexpr std::array kKernelOptions = {"nodev", "dev",         "nosuid", "suid",   "noexec",
                                       "exec",  "allow_other", "sync",   "dirsync"};
// What mount(8) and fstab may hand over, and what is always so here.
constexpr std::array kIgnoredOptions = {"defaults",
                                        "_netdev",
                                        "nofail",
                                        "auto",
                                        "noauto",
                                        "user",
                                        "nouser",
                                        "users",
                                        "owner",
                                        "group",
                                        "default_permissions",
                                        "lazytime",
                                        "nolazytime",
                                        "silent",
                                        "loud",
                                        "nomand",
                                        "noiversion",
                                        "atime",
                                        "async",
                                        "rw",
                                        "loop",
                                        "acl",
                                        "user_xattr"};

// To be followed by = and something.
constexpr std::array kValuedOptions = {"io_engine", "fuse_transport", "commit", "cache", "offset", "threads", "errors"};

// The last ones the kernel tells of a mount, and mount(8) hands over what it told.
constexpr std::array kIgnoredValuedOptions = {"uhelper", "fsname", "subtype", "comment", "user_id", "group_id"};

template <typename List>
bool contains(const List& list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

tl::unexpected<Error> bad_value(std::string_view name, std::string_view value, std::string_view wanted) {
  return fail(ErrorCode::invalid_argument, fmt::format("option {}={}: {}", name, value, wanted));
}

Result<std::uint64_t> parse_size(std::string_view name, std::string_view value) {
  if (const auto bytes = format::parse_size(std::string(value))) return *bytes;
  return bad_value(name, value, "give a number, with K, M, G, T or P if you like");
}

Result<std::uint64_t> parse_number(std::string_view name, std::string_view value, std::uint64_t least,
                                   std::uint64_t most) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size() || number < least || number > most) {
    return bad_value(name, value, fmt::format("give a number from {} to {}", least, most));
  }
  return number;
}

Result<blockio::EngineChoice> parse_engine(std::string_view value) {
  if (value == "auto") return blockio::EngineChoice::automatic;
  if (value == "io_uring") return blockio::EngineChoice::io_uring;
  if (value == "aio") return blockio::EngineChoice::aio;
  return bad_value("io_engine", value, "use auto, io_uring or aio");
}

Result<fuse::TransportChoice> parse_transport(std::string_view value) {
  if (value == "auto") return fuse::TransportChoice::automatic;
  if (value == "io_uring") return fuse::TransportChoice::io_uring;
  if (value == "dev") return fuse::TransportChoice::dev;
  return bad_value("fuse_transport", value, "use auto, io_uring or dev");
}

// Going on after a failed log write would be a promise that cannot be kept: as in ext4, whose journal stops then too,
// `continue` is about lesser errors, which are only ever the failing operation's.
Result<OnFailure> parse_on_failure(std::string_view value) {
  if (value == "remount-ro") return OnFailure::remount_read_only;
  if (value == "continue") return OnFailure::carry_on;
  if (value == "panic") return OnFailure::panic;
  return bad_value("errors", value, "use remount-ro, continue or panic");
}

Status parse_valued_option(std::string_view name, std::string_view value, MountRequest& request) {
  if (name == "io_engine") {
    request.engine = TRY(parse_engine(value));
  } else if (name == "fuse_transport") {
    request.transport = TRY(parse_transport(value));
  } else if (name == "commit") {
    request.commit_interval = std::chrono::seconds(TRY(parse_number(name, value, 1, kMaxCommitSeconds)));
  } else if (name == "cache") {
    request.cache_bytes = TRY(parse_size(name, value));
    if (request.cache_bytes < kMinCache) return bad_value(name, value, "give at least 8M");
  } else if (name == "offset") {
    request.offset = TRY(parse_size(name, value));
  } else if (name == "threads") {
    request.threads = static_cast<unsigned>(TRY(parse_number(name, value, 1, kMaxThreads)));
  } else if (name == "errors") {
    request.on_failure = TRY(parse_on_failure(value));
  } else if (!contains(kIgnoredValuedOptions, name)) {
    return fail(ErrorCode::invalid_argument, fmt::format("unknown option {}", name));
  }
  return {};
}

// As mount(8) has them, but that the default is noatime. Whether it is one of them.
bool parse_access_time_option(std::string_view name, MountRequest& request) {
  using volume::AccessTimes;
  if (name == "noatime" || name == "norelatime" || name == "nostrictatime") {
    request.access_times = AccessTimes::never;
  } else if (name == "relatime") {
    request.access_times = AccessTimes::relative;
  } else if (name == "strictatime") {
    request.access_times = AccessTimes::always;
  } else if (name == "diratime" || name == "nodiratime") {
    request.no_directory_access_times = name == "nodiratime";
  } else {
    return false;
  }
  if (name == "noatime") request.kernel_options.emplace_back(name);
  return true;
}

Status parse_flag_option(std::string_view name, MountRequest& request) {
  if (name == "ro") {
    request.read_only = true;
  } else if (name == "rw") {
    request.read_only = false;
  } else if (name == "norecovery" || name == "noload") {
    request.skip_log = true;
  } else if (name == "nodatacow") {
    request.no_copy_on_write = true;
  } else if (name == "low_latency" || name == "nolow_latency") {
    request.low_latency = name == "low_latency";
  } else if (name == "discard" || name == "nodiscard") {
    request.discard = name == "discard";
  } else if (parse_access_time_option(name, request)) {
    return {};
  } else if (contains(kKernelOptions, name)) {
    // Contents the kernel sends at once with `sync`; names are ours.
    if (name == "sync" || name == "dirsync") request.sync_names = true;
    request.kernel_options.emplace_back(name);
  } else if (name == "remount") {
    request.remount = true;
  } else if (contains(kValuedOptions, name)) {
    return fail(ErrorCode::invalid_argument, fmt::format("option {} needs a value: {}=...", name, name));
  } else if (!contains(kIgnoredOptions, name) && !name.starts_with("x-")) {
    return fail(ErrorCode::invalid_argument, fmt::format("unknown option {}", name));
  }
  return {};
}

// What the options mean together.
Status check_combination(MountRequest& request) {
  if (request.skip_log && !request.read_only) {
    return fail(ErrorCode::invalid_argument, "option norecovery needs ro");
  }
  const bool asked = contains(request.kernel_options, "allow_other");
  if (geteuid() != 0) return {};
  // A volume that root mounts is for everybody and has devices and set-user-ID programs, as with any other filesystem.
  // FUSE would have it the other way round; what comes later in the list wins.
  std::vector<std::string> defaults = {"dev", "suid"};
  if (!asked) defaults.emplace_back("allow_other");
  request.kernel_options.insert(request.kernel_options.begin(), defaults.begin(), defaults.end());
  return {};
}

}  // namespace

Status parse_option_list(std::string_view list, MountRequest& request) {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    const std::string_view item = list.substr(0, comma);
    list.remove_prefix(std::min(comma + 1, list.size()));
    if (item.empty()) continue;
    const std::size_t equals = item.find('=');
    if (equals == std::string_view::npos || item.starts_with("x-")) {
      TRY(parse_flag_option(item, request));
    } else {
      TRY(parse_valued_option(item.substr(0, equals), item.substr(equals + 1), request));
    }
  }
  return {};
}

CommandLine parse_command_line(int count, char** arguments) {
  CommandLine result;
  MountRequest& request = result.request;
  CLI::App app("Mounts an AshlarFS volume.", "ashlarfs");
  app.set_version_flag("-V,--version", "ashlarfs " ASHLAR_VERSION);
  std::vector<std::string> lists;
  bool sloppy = false;
  bool no_mtab = false;
  std::string type;
  app.add_option("device", request.device, "block device or image file")->required();
  app.add_option("mount_point", request.mount_point, "directory")->required();
  const CLI::Option* const list_option =
      app.add_option(
             "-o", lists,
             "mount options: ro, rw, io_engine=auto|io_uring|aio, fuse_transport=auto|io_uring|dev,\n"
             "commit=SECONDS, cache=SIZE, threads=N, offset=BYTES, noatime, relatime, strictatime, nodiratime,\n"
             "nodatacow, discard, low_latency, norecovery, errors=remount-ro|continue|panic, nodev, nosuid, noexec,\n"
             "allow_other, ...")
          ->allow_extra_args(false);
  // mount(8) means something else by -f.
  const bool is_helper = count > 0 && std::filesystem::path(arguments[0]).filename() == kHelperName;
  bool fake = false;
  if (is_helper) app.add_flag("-f,--fake", fake, "check the options and mount nothing");
  app.add_flag(is_helper ? "--foreground" : "-f,--foreground", request.foreground,
               "stay in the foreground and log to standard error");
  app.add_flag("-v,--verbose", request.verbose, "say what was mounted and how");
  const CLI::Option* const read_only = app.add_flag("-r")->description("as -o ro");
  const CLI::Option* const read_write = app.add_flag("-w")->description("as -o rw");
  app.add_flag("-s", sloppy, "tolerated, for mount(8)");
  app.add_flag("-n", no_mtab, "tolerated, for mount(8)");
  app.add_option("-t", type, "tolerated, for mount(8)");
  try {
    app.parse(count, arguments);
  } catch (const CLI::ParseError& error) {
    result.exit_status = error.get_exit_code() == 0 ? 0 : 1;
    result.text = result.exit_status == 0
                      ? (error.get_name() == "CallForVersion" ? std::string(error.what()) + "\n" : app.help())
                      : fmt::format("ashlarfs: {}; see ashlarfs --help\n", error.what());
    return result;
  }
  // In the order given: the last word counts.
  Status parsed;
  auto list = lists.begin();
  for (const CLI::Option* const option : app.parse_order()) {
    if (option == read_only) request.read_only = true;
    if (option == read_write) request.read_only = false;
    if (option == list_option && parsed && list != lists.end()) parsed = parse_option_list(*list++, request);
  }
  if (parsed) parsed = check_combination(request);
  if (!parsed) {
    result.exit_status = 1;
    result.text = fmt::format("ashlarfs: {}: {}; see ashlarfs --help\n", request.device, parsed.error().message());
    return result;
  }
  result.run = !fake;
  return result;
}

}  // namespace ashlar::daemon
