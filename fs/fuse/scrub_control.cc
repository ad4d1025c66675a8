#include "fs/fuse/scrub_control.h"

#include <linux/capability.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "fs/fuse/caller.h"
#include "fs/fuse/ioctl_argument.h"

namespace ashlar::fuse {
namespace {

volume::ScrubPosition position_of(const ScrubExchange& exchange) {
  volume::ScrubPosition position;
  switch (exchange.phase) {
    case ScrubPhase::fixed: position.phase = volume::ScrubPosition::Phase::fixed; break;
    case ScrubPhase::tree: position.phase = volume::ScrubPosition::Phase::tree; break;
    default: position.phase = volume::ScrubPosition::Phase::done; break;
  }
  position.unit = exchange.unit;
  position.key = {InodeNumber{exchange.key_inode}, format::ItemKind{static_cast<std::uint8_t>(exchange.key_kind)},
                  exchange.key_offset};
  return position;
}

void set_position(ScrubExchange& exchange, const volume::ScrubPosition& position) {
  exchange.phase = ScrubPhase{static_cast<std::uint32_t>(position.phase)};
  exchange.unit = position.unit;
  exchange.key_inode = position.key.inode.value();
  exchange.key_kind = static_cast<std::uint32_t>(position.key.kind);
  exchange.key_offset = position.key.offset;
}

// A finding that has no room shows again: the step's caller begins where it ended, and the counters tell.
void add_finding(ScrubExchange& exchange, const ScrubFinding& finding) {
  if (exchange.finding_count < kScrubFindings) exchange.findings[exchange.finding_count++] = finding;
}

void add_findings(ScrubExchange& exchange, const volume::ScrubStep& step) {
  for (const store::MetadataFinding& found : step.metadata.findings) {
    const auto flags = static_cast<std::uint8_t>((found.healed ? kScrubHealed : 0) | (found.lost ? kScrubLost : 0));
    add_finding(exchange, {found.offset, found.first_inode.value(), found.last_inode.value(),
                           ScrubWhat{static_cast<std::uint8_t>(found.kind)}, flags, 0, to_errno(found.why)});
  }
  for (const volume::DataFinding& found : step.data) {
    add_finding(exchange, {found.inode.value(), found.offset, found.offset + found.length, ScrubWhat::data, kScrubLost,
                           0, to_errno(found.why)});
  }
}

Status step(fuse_req_t request, InodeNumber inode, ScrubExchange& exchange) {
  volume::Context context = context_of(request);
  if (inode != kRootInode || exchange.version != kScrubVersion) return fail(ErrorCode::not_supported);
  const bool own_mount = geteuid() != 0 && context.uid == geteuid();
  if (!own_mount && !has_capability(request, CAP_SYS_ADMIN)) return fail(ErrorCode::not_permitted);
  volume::Volume& volume = volume_of(request);
  const volume::ScrubStep done =
      TRY(volume.scrub(context, position_of(exchange), std::min(exchange.budget, kMaxScrubBudget),
                       Worker::current().transport().answer_space()));
  const volume::VolumeSpace space = volume.space();
  exchange.finding_count = 0;
  std::memset(exchange.findings, 0, sizeof exchange.findings);
  add_findings(exchange, done);
  set_position(exchange, done.next);
  exchange.metadata_bytes = done.metadata.bytes;
  exchange.data_bytes = done.data_bytes;
  exchange.unchecked_bytes = done.unchecked_bytes;
  exchange.total_bytes = (space.blocks - std::min(space.free, space.blocks)) * space.block_size;
  return {};
}

}  // namespace

void answer_scrub(fuse_req_t request, InodeNumber inode, std::span<const std::byte> input) {
  answer_exchange<ScrubExchange>(request, input,
                                 [&](ScrubExchange& exchange) { return step(request, inode, exchange); });
}

}  // namespace ashlar::fuse
