// ashlarctl resize MNT [SIZE]
#include <fmt/format.h>

#include <cstring>
#include <string>

#include "fs/base/standard_streams.h"
#include "fs/ctl/commands.h"
#include "fs/ctl/mount_lookup.h"
#include "fs/ctl/volume_root.h"
#include "fs/format/text.h"
#include "fs/fuse/resize_protocol.h"

namespace ashlar::ctl {
namespace {

constexpr RefusalWords kResizeRefusals{"resize", "only root may resize a volume",
                                       "its daemon is older and cannot resize"};

std::string exact(std::uint64_t bytes) { return fmt::format("{} ({} bytes)", format::size_text(bytes), bytes); }

}  // namespace

Status resize(const ResizeOptions& options) {
  const std::string mount_point = TRY(find_mount_point(options.target));
  const VolumeRoot root = TRY(VolumeRoot::open(mount_point, kResizeRefusals));
  fuse::ResizeExchange exchange{};
  exchange.version = fuse::kResizeVersion;
  exchange.flags = options.dry_run ? fuse::kResizeDryRun : 0;
  exchange.size = options.size;
  if (const int error = root.ask(fuse::kResizeCommand, &exchange); error != 0) return root.refused(error);
  if (exchange.error != 0) {
    const std::string why(exchange.message, strnlen(exchange.message, sizeof exchange.message));
    return why.empty() ? root.refused(exchange.error) : root.refused(exchange.error, {}, format::printable(why));
  }
  if (exchange.size == exchange.before) {
    print(
        "{}: nothing to do: the volume has {}{}\n", mount_point, exact(exchange.size),
        options.size == 0 && exchange.size != exchange.device ? ", and what its device has beyond is too little" : "");
    return {};
  }
  print("{}: {} from {} to {}\n", mount_point, options.dry_run ? "would grow" : "grown", exact(exchange.before),
        exact(exchange.size));
  return {};
}

}  // namespace ashlar::ctl
