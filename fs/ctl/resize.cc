// ashlarctl resize MNT [SIZE]
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "fs/base/file_descriptor.h"
#include "fs/base/standard_streams.h"
#include "fs/ctl/commands.h"
#include "fs/ctl/mount_lookup.h"
#include "fs/format/text.h"
#include "fs/fuse/resize_protocol.h"

namespace ashlar::ctl {
namespace {

const char* resize_refusal(int error) {
  switch (error) {
    case EPERM: return "only root may resize a volume";
    case ENOTTY: return "its daemon is older and cannot resize";
    case EROFS: return "the volume is read-only";
    default: return daemon_error_text(error);
  }
}

std::string exact(std::uint64_t bytes) { return fmt::format("{} ({} bytes)", format::size_text(bytes), bytes); }

}  // namespace

Status resize(const ResizeOptions& options) {
  const std::string mount_point = TRY(find_mount_point(options.target));
  const auto failed = [&](int error, std::string_view why) {
    return fail(from_errno(error), fmt::format("{}: resize: {}", mount_point, why));
  };
  const FileDescriptor root(open(mount_point.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (root.get() < 0) return failed(errno, resize_refusal(errno));
  fuse::ResizeExchange exchange{};
  exchange.version = fuse::kResizeVersion;
  exchange.flags = options.dry_run ? fuse::kResizeDryRun : 0;
  exchange.size = options.size;
  if (ioctl(root.get(), fuse::kResizeCommand, &exchange) != 0) return failed(errno, resize_refusal(errno));
  if (exchange.error != 0) {
    const std::string why(exchange.message, strnlen(exchange.message, sizeof exchange.message));
    return failed(exchange.error, why.empty() ? std::string(resize_refusal(exchange.error)) : format::printable(why));
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
