// The daemon's command line, as mount(8) and its helpers have it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "blockio/queue_config.h"
#include "fs/base/result.h"
#include "fs/fuse/transport.h"
#include "fs/volume/types.h"

namespace ashlar::daemon {

// What a failed write of the log or of a checkpoint brings about, besides the end of writing.
enum class OnFailure : std::uint8_t {
  remount_read_only,  // reading goes on
  carry_on,           // the same: one cannot go on without a log
  panic,              // the daemon dies at once, and every use of the mount fails
};

struct MountRequest {
  std::string device;
  std::string mount_point;
  bool foreground = false;
  bool verbose = false;
  bool read_only = false;
  bool skip_log = false;
  bool no_copy_on_write = false;
  bool discard = false;
  volume::AccessTimes access_times = volume::AccessTimes::never;
  bool no_directory_access_times = false;
  bool sync_names = false;   // dirsync, sync
  bool low_latency = false;  // keep processors awake while busy
  bool remount = false;      // nothing is mounted; what is gets other options of the kernel
  blockio::EngineChoice engine = blockio::EngineChoice::automatic;
  fuse::TransportChoice transport = fuse::TransportChoice::automatic;
  std::chrono::seconds commit_interval{5};
  std::uint64_t cache_bytes = 256ULL << 20;
  OnFailure on_failure = OnFailure::remount_read_only;
  std::uint64_t offset = 0;                 // of the volume on the device, bytes
  unsigned threads = 0;                     // 0: 16, or the number of processors if that is larger
  std::vector<std::string> kernel_options;  // for FUSE: nodev, noexec, allow_other, ...
};

// Takes one -o list apart. invalid_argument names the option that is unknown or has a bad value.
[[nodiscard]] Status parse_option_list(std::string_view list, MountRequest& request);

// What the command line asked for: a request, or text for people and the exit status to leave with (--help, --version,
// a wrong option, mount -f).
struct CommandLine {
  bool run = false;
  MountRequest request;
  int exit_status = 0;
  std::string text;
};
[[nodiscard]] CommandLine parse_command_line(int count, char** arguments);

}  // namespace ashlar::daemon
