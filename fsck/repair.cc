#include "fsck/repair.h"

#include <limits>
#include <utility>

#include "fsck/context.h"
#include "fsck/rebuild.h"
#include "fsck/superblock_search.h"

namespace ashlar::fsck {
namespace {

// Damage behind damage behind damage; more would be a repair that goes round in circles.
constexpr int kMaxRounds = 4;

}  // namespace

Result<Rebuilt> rebuild_volume(blockio::BlockDevice& device, blockio::IoQueue& io, const CheckOptions& options) {
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
  bool was_changed = false;
  std::uint64_t put_off = std::numeric_limits<std::uint64_t>::max();
  for (int round = 0; round < kMaxRounds;) {
    Result<Rebuilt> rebuilt = rebuild_volume(device, io, options);
    if (!rebuilt) {
      if (was_changed) report.mark_repaired(TRY(check_volume(device, io, looking)));
      return fail(std::move(rebuilt).error());
    }
    was_changed = true;
    given_up.merge(rebuilt->given_up);
    for (const auto& [inode, what] : given_up) looking.also_name.insert(inode);
    // As long as less is put off every time, it comes to an end.
    const std::uint64_t before = std::exchange(put_off, rebuilt->put_off);
    if (put_off != 0 && put_off < before) continue;
    put_off = std::numeric_limits<std::uint64_t>::max();
    ++round;
    after = TRY(check_volume(device, io, looking));
    if (!needs_more(after)) break;
  }
  report.mark_repaired(after);
  report.take_paths(after);
  for (const auto& [inode, what] : given_up) report.add(FindingId::contents_given_up, inode, what);
  return {};
}

}  // namespace ashlar::fsck
