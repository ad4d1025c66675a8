#include "fs/fuse/resize_control.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>

#include "fs/fuse/caller.h"
#include "fs/fuse/ioctl_argument.h"

namespace ashlar::fuse {
namespace {

Status resize(fuse_req_t request, InodeNumber inode, ResizeExchange& exchange) {
  volume::Context context = context_of(request);
  if (inode != kRootInode || exchange.version != kResizeVersion) return fail(ErrorCode::not_supported);
  const auto wanted = exchange.size == 0 ? std::nullopt : std::optional(exchange.size);
  const bool dry_run = (exchange.flags & kResizeDryRun) != 0;
  const Result<store::GrowOutcome> grown = volume_of(request).store().grow(context.io, wanted, dry_run);
  exchange.error = 0;
  std::fill(std::begin(exchange.message), std::end(exchange.message), '\0');
  if (grown) {
    exchange.size = grown->after;
    exchange.before = grown->before;
    exchange.device = grown->device;
    return {};
  }
  exchange.error = to_errno(grown.error().code());
  const std::string why = grown.error().message();
  std::copy_n(why.begin(), std::min(why.size(), kResizeMessage - 1), std::begin(exchange.message));
  return {};
}

}  // namespace

void answer_resize(fuse_req_t request, InodeNumber inode, std::span<const std::byte> input) {
  answer_exchange<ResizeExchange>(request, input,
                                  [&](ResizeExchange& exchange) { return resize(request, inode, exchange); });
}

}  // namespace ashlar::fuse
