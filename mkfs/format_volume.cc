#include "mkfs/format_volume.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "fs/format/items.h"
#include "mkfs/initial_state.h"
#include "mkfs/volume_writer.h"

namespace ashlar::mkfs {
namespace {

Status fill_random(std::span<std::uint8_t> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = getrandom(bytes.data() + done, bytes.size() - done, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(from_errno(errno), fmt::format("no random numbers: {}", std::strerror(errno)));
    done += static_cast<std::size_t>(got);
  }
  return {};
}

Result<Uuid> random_uuid() {
  Uuid uuid;
  TRY(fill_random(uuid));
  uuid[6] = static_cast<std::uint8_t>((uuid[6] & 0x0f) | 0x40);  // RFC 4122: version 4
  uuid[8] = static_cast<std::uint8_t>((uuid[8] & 0x3f) | 0x80);
  return uuid;
}

Result<std::uint64_t> random_epoch() {
  std::uint8_t bytes[8];
  TRY(fill_random(bytes));
  std::uint64_t epoch = 0;
  std::memcpy(&epoch, bytes, sizeof epoch);
  epoch >>= 1U;  // as next_log_epoch() wants it
  return epoch == 0 ? 1 : epoch;
}

Moment now() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  const auto nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
  return Moment{static_cast<std::uint64_t>(nanoseconds / 1'000'000'000),
                static_cast<std::uint32_t>(nanoseconds % 1'000'000'000)};
}

Result<format::Layout> plan_layout(const blockio::Geometry& geometry, const FormatOptions& options) {
  const std::uint64_t bytes = options.volume_bytes == 0 ? std::uint64_t{geometry.size} : options.volume_bytes;
  // A device has whole sectors, whatever the length of a file.
  if (bytes - bytes % geometry.logical_sector > geometry.size) {
    return fail(ErrorCode::device_too_small,
                fmt::format("{} bytes asked for and {} there", bytes, std::uint64_t{geometry.size}));
  }
  if (geometry.logical_sector > format::kSuperblockSize) {
    return fail(ErrorCode::not_supported, fmt::format("sectors of {} bytes", geometry.logical_sector));
  }
  if (options.block_size != 0 && options.block_size < geometry.logical_sector) {
    return fail(ErrorCode::invalid_argument, fmt::format("block size {} is below the device's sector size of {} bytes",
                                                         options.block_size, geometry.logical_sector));
  }
  std::uint32_t block_size = options.block_size == 0 ? kDefaultBlockSize : options.block_size;
  while (true) {
    const std::uint32_t node_size = options.node_size == 0 ? std::max(kDefaultNodeSize, block_size) : options.node_size;
    auto layout = format::Layout::plan(bytes, block_size, node_size);
    // A volume too large for 4 KiB blocks gets larger ones unless the user chose.
    if (layout || options.block_size != 0 || block_size >= format::kMaxBlockSize || bytes < format::kMinVolumeBytes ||
        (options.node_size != 0 && options.node_size <= block_size)) {
      return layout;
    }
    block_size *= 2;
  }
}

// Discarded at a time, so that its progress can be told.
constexpr std::uint64_t kDiscardStep = 16ULL << 30;

// Errors are no harm: discarding is a hint.
void discard_all(blockio::IoQueue& io, std::uint64_t bytes, const DiscardProgress& progress) {
  for (std::uint64_t done = 0; done < bytes;) {
    const std::uint64_t length = std::min(kDiscardStep, bytes - done);
    blockio::IoOp op = blockio::IoOp::discard(done, length);
    if (const Status status = io.run(op); !status) return;
    done += length;
    if (progress) progress(done, bytes);
  }
}

RootPlaces places_of(const format::Superblock& superblock) {
  return RootPlaces{{BlockNumber{superblock.root.address[0]}, BlockNumber{superblock.root.address[1]}}};
}

Status write_root(VolumeWriter& writer, FormatOutcome& plan, const RootPlaces& places) {
  blockio::AlignedBuffer node(plan.layout.node_size());
  if (node.empty()) return fail(ErrorCode::out_of_memory);
  plan.superblock.root = format::store(
      build_root_leaf(node.span(), plan.superblock.uuid, places, root_inode(now(), plan.owner.uid, plan.owner.gid)));
  const std::uint64_t offsets[] = {plan.layout.byte_offset(places.address[0]),
                                   plan.layout.byte_offset(places.address[1])};
  return writer.write_copies(node.span(), offsets);
}

Status write_superblock(VolumeWriter& writer, format::Superblock& superblock) {
  format::seal(superblock);
  blockio::AlignedBuffer buffer(format::kSuperblockSize);
  if (buffer.empty()) return fail(ErrorCode::out_of_memory);
  std::memcpy(buffer.data(), &superblock, sizeof superblock);
  const std::size_t slot = kFirstGeneration.value() % format::kSuperblockSlots;
  const std::uint64_t offsets[] = {format::superblock_offset(slot, 0), format::superblock_offset(slot, 1)};
  return writer.write_copies(buffer.span(), offsets);
}

}  // namespace

Result<FormatOutcome> plan_volume(const blockio::Geometry& geometry, const FormatOptions& options) {
  if (geometry.read_only) return fail(ErrorCode::read_only, "the device is read-only");
  if (options.label.size() > format::kLabelSize || options.label.find('\0') != std::string::npos) {
    return fail(ErrorCode::invalid_argument, fmt::format("the label is longer than {} bytes", format::kLabelSize));
  }
  const format::Layout layout = TRY(plan_layout(geometry, options));
  const RootPlaces places = TRY(choose_root_places(layout));

  format::Superblock superblock{};
  superblock.magic = format::kSuperblockMagic;
  superblock.version = format::kFormatVersion;
  const Uuid uuid = options.uuid ? *options.uuid : TRY(random_uuid());
  std::copy(uuid.begin(), uuid.end(), std::begin(superblock.uuid));
  std::copy(options.label.begin(), options.label.end(), std::begin(superblock.label));
  superblock.compatible = options.compatible;
  superblock.read_only_compatible = options.read_only_compatible;
  superblock.incompatible = options.incompatible;
  layout.describe_in(superblock);
  superblock.generation = kFirstGeneration.value();
  superblock.flags = format::kCleanlyUnmounted;
  TRY(fill_random(superblock.hash_seed));
  format::NodePointer root;
  std::copy(std::begin(places.address), std::end(places.address), std::begin(root.address));
  root.generation = kFirstGeneration;
  superblock.root = format::store(root);
  superblock.node_count = 1;
  superblock.free_blocks = layout.block_count() - layout.fixed_blocks() - format::kCopies * layout.node_blocks();
  superblock.next_inode = kRootInode.value() + 1;
  superblock.log_epoch = TRY(random_epoch());
  superblock.item_count[static_cast<std::size_t>(format::ItemKind::inode)] = 1;
  superblock.created_time = superblock.written_time = now().seconds;
  return FormatOutcome{layout, superblock, options.owner};
}

Status write_volume(blockio::IoQueue& io, FormatOutcome& plan, bool discard, const DiscardProgress& progress) {
  const format::Layout& layout = plan.layout;
  format::Superblock& superblock = plan.superblock;
  VolumeWriter writer(io, layout);
  // First of all no superblock is left, so that an interrupted run leaves no volume instead of half an old one.
  TRY(writer.erase_heads());
  TRY(writer.flush());
  if (discard) {
    discard_all(io, layout.block_count() * layout.block_size(), progress);
    TRY(writer.erase_heads());  // a discarded block reads as anything
  }

  const RootPlaces places = places_of(superblock);
  TRY(write_root(writer, plan, places));
  const auto touched = touched_groups(layout, places);
  const auto entries = TRY(writer.write_bitmaps(touched));
  superblock.group_table_crc = TRY(writer.write_group_table(superblock.uuid, touched, entries));
  TRY(writer.erase_stale_parts());
  TRY(writer.flush());

  TRY(write_superblock(writer, superblock));
  return writer.flush();
}

Result<FormatOutcome> format_volume(blockio::BlockDevice& device, blockio::IoQueue& io, const FormatOptions& options) {
  FormatOutcome outcome = TRY(plan_volume(device.geometry(), options));
  TRY(write_volume(io, outcome, options.discard && device.geometry().discard_granularity != 0));
  return outcome;
}

}  // namespace ashlar::mkfs
