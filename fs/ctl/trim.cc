// ashlarctl trim MNT [--min SIZE]
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "fs/base/file_descriptor.h"
#include "fs/base/standard_streams.h"
#include "fs/base/terminal_progress.h"
#include "fs/ctl/cancel_on_signal.h"
#include "fs/ctl/commands.h"
#include "fs/ctl/exit_status.h"
#include "fs/ctl/mount_lookup.h"
#include "fs/format/text.h"

namespace ashlar::ctl {
namespace {

// A multiple of every group's size but the largest ones': where a step ends, a free run most often ends anyway.
constexpr std::uint64_t kBytesPerStep = 1ULL << 30;

const char* trim_refusal(int error) {
  switch (error) {
    case EPERM: return "only root may discard";
    case ENOTTY: return "its daemon is older and cannot discard";
    case EOPNOTSUPP:
      return "the device (or what an image file lies on) cannot discard, so there is nothing to do: free blocks are "
             "used again as they are";
    case EROFS: return "the volume is read-only";
    default: return daemon_error_text(error);
  }
}

}  // namespace

Status trim(const TrimOptions& options, int& exit_status) {
  const std::string mount_point = TRY(find_mount_point(options.target));
  const auto failed = [&](int error, std::uint64_t discarded) {
    const std::string before =
        discarded == 0 ? std::string() : fmt::format(" after {} were discarded", format::size_text(discarded));
    return fail(from_errno(error), fmt::format("{}: trim{}: {}", mount_point, before, trim_refusal(error)));
  };
  const FileDescriptor root(open(mount_point.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (root.get() < 0) return failed(errno, 0);
  struct statvfs space {};
  if (fstatvfs(root.get(), &space) != 0) return failed(errno, 0);
  const std::uint64_t size = space.f_blocks * space.f_frsize;  // without the fixed parts: the volume is a bit larger
  const CancelOnSignal cancel;
  TerminalProgress progress("trim");
  std::uint64_t discarded = 0;
  for (std::uint64_t from = 0; !cancelled();) {
    fstrim_range range{from, kBytesPerStep, options.shortest_run};
    if (ioctl(root.get(), FITRIM, &range) != 0) {
      if (errno == EINTR) continue;
      if (errno == EINVAL && from >= size) break;  // there is nothing any more
      return failed(errno, discarded);
    }
    discarded += range.len;
    from += kBytesPerStep;
    progress.show(std::min(from, size), size);
  }
  progress.clear();
  print("{}: {}{} discarded\n", mount_point, cancelled() ? "stopped early; " : "", format::size_text(discarded));
  if (cancelled()) exit_status = kStoppedEarly;
  return {};
}

}  // namespace ashlar::ctl
