// ashlarctl trim MNT [--min SIZE]
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>

#include "fs/base/standard_streams.h"
#include "fs/base/terminal_progress.h"
#include "fs/ctl/cancel_on_signal.h"
#include "fs/ctl/commands.h"
#include "fs/ctl/exit_status.h"
#include "fs/ctl/mount_lookup.h"
#include "fs/ctl/volume_root.h"
#include "fs/format/text.h"

namespace ashlar::ctl {
namespace {

// A multiple of every group's size but the largest ones': where a step ends, a free run most often ends anyway.
constexpr std::uint64_t kBytesPerStep = 1ULL << 30;

constexpr RefusalWords kTrimRefusals{"trim", "only root may discard", "its daemon is older and cannot discard"};
constexpr std::string_view kCannotDiscard =
    "the device (or what an image file lies on) cannot discard, so there is nothing to do: free blocks are used again "
    "as they are";

}  // namespace

Status trim(const TrimOptions& options, int& exit_status) {
  const std::string mount_point = TRY(find_mount_point(options.target));
  const VolumeRoot root = TRY(VolumeRoot::open(mount_point, kTrimRefusals));
  const auto failed = [&root](int error, std::uint64_t discarded) {
    const std::string so_far =
        discarded == 0 ? std::string() : fmt::format(" after {} were discarded", format::size_text(discarded));
    return error == EOPNOTSUPP ? root.refused(error, so_far, kCannotDiscard) : root.refused(error, so_far);
  };
  struct statvfs space {};
  if (fstatvfs(root.descriptor(), &space) != 0) return failed(errno, 0);
  const std::uint64_t size = space.f_blocks * space.f_frsize;  // without the fixed parts: the volume is a bit larger
  const CancelOnSignal cancel;
  TerminalProgress progress("trim");
  std::uint64_t discarded = 0;
  for (std::uint64_t from = 0; !cancelled();) {
    fstrim_range range{from, kBytesPerStep, options.shortest_run};
    if (const int error = root.ask(FITRIM, &range); error != 0) {
      if (error == EINTR) continue;
      if (error == EINVAL && from >= size) break;  // there is nothing any more
      return failed(error, discarded);
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
