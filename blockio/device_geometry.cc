#include "blockio/device_geometry.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/fs.h>
#include <linux/major.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>

namespace ashlar::blockio {
namespace {

// A number or word of /sys/dev/block/MAJOR:MINOR/queue; a partition has its queue at its parent.
std::string queue_attribute(dev_t device, const char* attribute) {
  const std::string base = fmt::format("/sys/dev/block/{}:{}", major(device), minor(device));
  for (const char* queue : {"queue", "../queue"}) {
    std::ifstream file(fmt::format("{}/{}/{}", base, queue, attribute));
    std::string line;
    if (std::getline(file, line)) return line;
  }
  return {};
}

std::uint64_t queue_number(dev_t device, const char* attribute) {
  const std::string text = queue_attribute(device, attribute);
  return text.empty() || text.find_first_not_of("0123456789") != std::string::npos ? 0 : std::stoull(text);
}

DeviceKind kind_of(dev_t device) {
  std::error_code error;
  const std::string base = fmt::format("/sys/dev/block/{}:{}", major(device), minor(device));
  if (std::filesystem::exists(base + "/partition", error)) return DeviceKind::partition;
  if (major(device) == LOOP_MAJOR) return DeviceKind::loop_device;
  return DeviceKind::block_device;
}

// Forced unit access lets the kernel turn a durable write into one that leaves the cache as it is, so only a device
// known to be without it can be trusted to flush.
void read_cache_behaviour(dev_t device, Geometry& geometry) {
  const std::string cache = queue_attribute(device, "write_cache");
  const std::string forced_unit_access = queue_attribute(device, "fua");
  geometry.volatile_write_cache = cache != "write through";
  geometry.durable_write_flushes = forced_unit_access == "0";
}

Status read_block_device(int descriptor, const struct stat& status, Geometry& geometry) {
  std::uint64_t size = 0;
  int logical = 0;
  unsigned physical = 0;
  unsigned optimal = 0;
  int read_only = 0;
  if (ioctl(descriptor, BLKGETSIZE64, &size) != 0 || ioctl(descriptor, BLKSSZGET, &logical) != 0 ||
      ioctl(descriptor, BLKPBSZGET, &physical) != 0 || ioctl(descriptor, BLKIOOPT, &optimal) != 0 ||
      ioctl(descriptor, BLKROGET, &read_only) != 0) {
    return fail(from_errno(errno), "the device does not tell its size");
  }
  geometry.size = size;
  geometry.kind = kind_of(status.st_rdev);
  geometry.logical_sector = static_cast<std::uint32_t>(logical);
  geometry.physical_sector = physical;
  geometry.optimal_io = optimal;
  geometry.memory_alignment =
      std::max<std::uint32_t>(static_cast<std::uint32_t>(queue_number(status.st_rdev, "dma_alignment")) + 1, 4);
  geometry.discard_max = queue_number(status.st_rdev, "discard_max_bytes");
  geometry.discard_granularity = geometry.discard_max == 0 ? 0 : queue_number(status.st_rdev, "discard_granularity");
  geometry.write_zeroes_max = queue_number(status.st_rdev, "write_zeroes_max_bytes");
  geometry.read_only = read_only != 0;
  read_cache_behaviour(status.st_rdev, geometry);
  return {};
}

void read_image_file(int descriptor, const struct stat& status, Geometry& geometry) {
  geometry.kind = DeviceKind::image_file;
  geometry.size = static_cast<std::uint64_t>(status.st_size);
  struct statx extended {};
  if (statx(descriptor, "", AT_EMPTY_PATH, STATX_DIOALIGN, &extended) == 0 &&
      (extended.stx_mask & STATX_DIOALIGN) != 0 && extended.stx_dio_offset_align != 0) {
    geometry.logical_sector = extended.stx_dio_offset_align;
    geometry.memory_alignment = extended.stx_dio_mem_align;
  }
  geometry.physical_sector =
      std::max<std::uint32_t>(geometry.logical_sector, static_cast<std::uint32_t>(status.st_blksize));
  // A hole is punched block by block of the filesystem below.
  geometry.discard_granularity = static_cast<std::uint64_t>(status.st_blksize);
  geometry.discard_max = geometry.size;
  geometry.write_zeroes_max = geometry.size;
  read_cache_behaviour(status.st_dev, geometry);
}

}  // namespace

Result<Geometry> read_geometry(int descriptor) {
  struct stat status {};
  if (fstat(descriptor, &status) != 0) return fail(from_errno(errno));
  Geometry geometry;
  if (S_ISBLK(status.st_mode)) {
    TRY(read_block_device(descriptor, status, geometry));
  } else {
    read_image_file(descriptor, status, geometry);
  }
  if ((fcntl(descriptor, F_GETFL) & O_ACCMODE) == O_RDONLY) geometry.read_only = true;
  return geometry;
}

}  // namespace ashlar::blockio
