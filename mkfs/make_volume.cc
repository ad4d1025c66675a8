#include "mkfs/make_volume.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>

#include "blockio/file_device.h"
#include "fs/base/standard_streams.h"
#include "fs/base/terminal_progress.h"
#include "fs/format/text.h"
#include "mkfs/device_use.h"
#include "mkfs/existing_contents.h"
#include "mkfs/image_file.h"

namespace ashlar::mkfs {
namespace {

// A daemon that was just unmounted may still be letting go of the device.
constexpr std::uint32_t kLockWaitMs = 1000;

enum class TargetKind { missing, image, block_device };

Result<TargetKind> kind_of(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return TargetKind::missing;
    return fail(from_errno(errno), std::strerror(errno));
  }
  if (S_ISBLK(info.st_mode)) return TargetKind::block_device;
  if (S_ISREG(info.st_mode)) return TargetKind::image;
  return fail(ErrorCode::invalid_argument, "is neither a block device nor an image file");
}

Status check_unused(const std::string& path, bool force) {
  if (const auto use = TRY(describe_use(path))) {
    return fail(ErrorCode::busy, fmt::format("{}: release it first", *use));
  }
  if (force) return {};
  if (const auto contents = TRY(describe_contents(path))) {
    return fail(ErrorCode::already_exists, fmt::format("holds {}: use -f to overwrite it", *contents));
  }
  return {};
}

void print_geometry(const CommandLine& line, const FormatOutcome& outcome) {
  const format::Layout& layout = outcome.layout;
  const format::Superblock& superblock = outcome.superblock;
  const std::string label = format::label_text(superblock);
  const std::uint64_t block_size = layout.block_size();
  print("AshlarFS volume {} {}\n", line.dry_run ? "would be made on" : "made on", line.device);
  if (!label.empty()) print("  label    {}\n", label);
  if (!line.dry_run || line.format.uuid) print("  uuid     {}\n", format::uuid_text(format::shown_uuid(superblock)));
  print("  size     {}: {} of {} bytes in {}\n", format::size_text(layout.block_count() * block_size),
        format::count_text(layout.block_count(), "block"), block_size,
        format::count_text(layout.group_count(), "group"));
  print("  nodes    {} bytes, kept twice\n", layout.node_size());
  print("  log      {} at block {}\n", format::size_text(layout.log().count * block_size), layout.log().first.value());
  print("  free     {}\n", format::size_text(superblock.free_blocks * block_size));
}

// Errors of the block layer name the device; ours do not.
template <typename T>
Result<T> named(const std::string& device, Result<T> result) {
  if (result) return result;
  return fail(std::move(result).error().with_context(device));
}

Status show_plan(const CommandLine& line, TargetKind kind) {
  blockio::Geometry geometry;
  if (kind != TargetKind::missing) {
    blockio::DeviceOptions options;
    options.read_only = true;
    options.exclusive = false;
    geometry = TRY(blockio::open_device(line.device, options))
    ->geometry();
    geometry.read_only = false;
  }
  if (kind != TargetKind::block_device)
    geometry.size = std::max(std::uint64_t{geometry.size}, line.format.volume_bytes);
  const FormatOutcome plan = TRY(named(line.device, plan_volume(geometry, line.format)));
  if (!line.quiet) print_geometry(line, plan);
  return {};
}

Status check_target(const CommandLine& line, TargetKind kind) {
  if (kind != TargetKind::missing) return check_unused(line.device, line.force);
  if (line.format.volume_bytes != 0) return {};
  return fail(ErrorCode::not_found, "no such file or directory: give a SIZE to create an image file");
}

Status make_on(const CommandLine& line, blockio::BlockDevice& device, std::optional<ImageFile>& image) {
  FormatOutcome outcome = TRY(named(line.device, plan_volume(device.geometry(), line.format)));
  const auto io = TRY(device.open_queue({}));
  TRY(named(line.device, wipe_signatures(line.device)));
  if (image) image->keep();
  const bool discard = line.format.discard && device.geometry().discard_granularity != 0;
  TerminalProgress progress("discard");
  const auto show = [&](std::uint64_t done, std::uint64_t total) {
    if (!line.quiet) progress.show(done, total);
  };
  TRY(named(line.device, write_volume(*io, outcome, discard, show)));
  progress.clear();
  if (!line.quiet) print_geometry(line, outcome);
  return {};
}

}  // namespace

Status make_volume(const CommandLine& line) {
  const TargetKind kind = TRY(named(line.device, kind_of(line.device)));
  TRY(named(line.device, check_target(line, kind)));
  if (line.dry_run) return show_plan(line, kind);

  std::optional<ImageFile> image;
  if (kind != TargetKind::block_device) {
    image.emplace(TRY(named(line.device, ImageFile::prepare(line.device, line.format.volume_bytes))));
  }
  blockio::DeviceOptions options;
  options.lock_wait_ms = kLockWaitMs;
  const auto device = TRY(blockio::open_device(line.device, options));
  return make_on(line, *device, image);
}

}  // namespace ashlar::mkfs
