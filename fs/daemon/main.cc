// ashlarfs: mounts a volume. Also called mount.ashlarfs, by mount(8).
#include <signal.h>

#include <cstdlib>
#include <filesystem>

#include "fs/base/log.h"
#include "fs/base/standard_streams.h"
#include "fs/daemon/background.h"
#include "fs/daemon/mount.h"
#include "fs/daemon/options.h"
#include "fs/daemon/remount.h"

namespace {

// The daemon leaves the directory it was started in.
std::string absolute(const std::string& path) {
  std::error_code error;
  const std::filesystem::path result = std::filesystem::absolute(path, error);
  return error ? path : result.string();
}

}  // namespace

int main(int count, char** arguments) {
  using namespace ashlar;
  if (!occupy_standard_streams()) return 1;
  daemon::CommandLine command = daemon::parse_command_line(count, arguments);
  if (!command.run) {
    print(command.exit_status == 0 ? stdout : stderr, "{}", command.text);
    return finish_output("ashlarfs", command.exit_status, 1);
  }
  daemon::MountRequest& request = command.request;
  configure_log("ashlarfs", LogLevel::warning, LogSink::standard_error);
  if (const Status checked = daemon::check_mount_point(request.mount_point); !checked) {
    print(stderr, "ashlarfs: {}: {}\n", request.device, checked.error().message());
    return 1;
  }
  request.device = absolute(request.device);
  request.mount_point = absolute(request.mount_point);
  if (request.remount) {
    const Status remounted = daemon::remount(request);
    if (!remounted) print(stderr, "ashlarfs: {}: {}\n", request.mount_point, remounted.error().message());
    return remounted ? 0 : 1;
  }
  signal(SIGXFSZ, SIG_IGN);  // a write to the image that `ulimit -f` forbids is to fail as any other does
  if (request.foreground) {
    configure_log("ashlarfs", LogLevel::info, LogSink::standard_error);
    signal(SIGPIPE, SIG_IGN);  // whoever read the log may go away before the mount does
    return daemon::run_mount(request, daemon::Readiness());
  }
  daemon::Readiness readiness = daemon::go_into_background(request.device);
  configure_log("ashlarfs", LogLevel::info, LogSink::syslog);
  return daemon::run_mount(request, std::move(readiness));
}
