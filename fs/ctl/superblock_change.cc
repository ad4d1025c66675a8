#include "fs/ctl/superblock_change.h"

#include <fmt/format.h>

#include <utility>

#include "blockio/file_device.h"
#include "blockio/mount_table.h"
#include "fs/store/superblock_io.h"

namespace ashlar::ctl {

Status change_superblock(const std::string& path, const char* doing,
                         absl::FunctionRef<void(format::Superblock&)> change) {
  blockio::DeviceOptions options;
  options.lock_wait_ms = blockio::lock_wait_ms(false);  // a daemon may be about to end
  const auto device = TRY(blockio::open_device(path, options));
  const auto io = TRY(device->open_queue({}));
  Result<store::ClaimedVolume> volume = store::claim_volume(device->geometry(), *io, {});
  if (!volume) return fail(std::move(volume).error().with_context(path));
  change(volume->superblock);
  Status written = store::rewrite_superblock(*io, volume->superblock);
  if (!written) return fail(std::move(written).error().with_context(fmt::format("{}: {}", path, doing)));
  return volume->claim ? volume->claim->release(*io) : Status();
}

}  // namespace ashlar::ctl
