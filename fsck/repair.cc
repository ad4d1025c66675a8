#include "fsck/repair.h"

#include "fsck/context.h"
#include "fsck/rebuild.h"
#include "fsck/superblock_search.h"

namespace ashlar::fsck {
namespace {

// Damage behind damage behind damage; more would be a repair that goes round in circles.
constexpr int kMaxRounds = 4;

}  // namespace

Result<GivenUp> rebuild_volume(blockio::BlockDevice& device, blockio::IoQueue& io, const CheckOptions& options) {
  Report ignored;  // the check before told it all
  CheckOptions quiet;
  quiet.search = options.search;
  const std::optional<format::Superblock> superblock = TRY(pass_superblock(device, io, quiet, ignored));
  if (!superblock) {
    const format::Superblock found = TRY(search_superblock(device, io, options, std::nullopt));
    return write_next_generation(device, io, options, found, true);
  }
  // For writing.
  TRY(format::validate(*superblock, device.geometry().size, true));
  if (ignored.has(FindingId::superblock_slot_lost)) {
    Result<format::Superblock> newer = search_superblock(device, io, options, superblock);
    if (newer) return write_next_generation(device, io, options, *newer, false);
    if (newer.error().code() != ErrorCode::not_found) return fail(std::move(newer).error());
  }
  return write_next_generation(device, io, options, *superblock, false);
}

Status repair_volume(blockio::BlockDevice& device, blockio::IoQueue& io, const CheckOptions& options, Report& report) {
  const auto needs_more = [](const Report& of) { return of.takes(Repair::recount) || of.takes(Repair::rebuild); };
  CheckOptions looking = options;
  GivenUp given_up;
  Report after;
  for (int round = 0; round < kMaxRounds; ++round) {
    Result<GivenUp> lost = rebuild_volume(device, io, options);
    if (!lost && round != 0) report.mark_repaired(after);
    given_up.merge(TRY(std::move(lost)));
    for (const auto& [inode, what] : given_up) looking.also_name.insert(inode);
    after = TRY(check_volume(device, io, looking));
    if (!needs_more(after)) break;
  }
  report.mark_repaired(after);
  report.take_paths(after);
  for (const auto& [inode, what] : given_up) report.add(FindingId::contents_given_up, inode, what);
  return {};
}

}  // namespace ashlar::fsck
