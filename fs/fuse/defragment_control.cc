#include "fs/fuse/defragment_control.h"

#include "fs/fuse/caller.h"
#include "fs/fuse/ioctl_argument.h"

namespace ashlar::fuse {
namespace {

Status defragment_step(fuse_req_t request, InodeNumber inode, DefragmentExchange& exchange) {
  volume::Context context = context_of(request);
  volume::Volume& volume = volume_of(request);
  if (exchange.version != kDefragmentVersion) return fail(ErrorCode::not_supported);
  const volume::Attributes attributes = TRY(volume.attributes(context, inode));
  TRY(require_owner(request, attributes.uid));
  volume::DefragmentRequest wanted;
  wanted.inode = inode;
  wanted.position = exchange.position;
  wanted.shortest_run = exchange.shortest_run;
  wanted.budget = exchange.budget;
  wanted.dry_run = (exchange.flags & kDefragmentDryRun) != 0;
  const volume::DefragmentStep done =
      TRY(volume.defragment(context, wanted, Worker::current().transport().answer_space()));
  exchange.flags = done.done ? kDefragmentDone : 0;
  exchange.position = done.next;
  exchange.runs = done.runs;
  exchange.bytes = done.bytes;
  return {};
}

}  // namespace

void answer_defragment(fuse_req_t request, InodeNumber inode, std::span<const std::byte> input) {
  answer_exchange<DefragmentExchange>(
      request, input, [&](DefragmentExchange& exchange) { return defragment_step(request, inode, exchange); });
}

}  // namespace ashlar::fuse
