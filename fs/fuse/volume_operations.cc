// init and statfs: what concerns the volume as a whole.
#include <sys/statvfs.h>

#include <climits>

#include "fs/fuse/operations.h"
#include "fs/fuse/request.h"

namespace ashlar::fuse {
namespace {

// Requests that the kernel may have under way on its own account (write-back, read-ahead); its default of 12 starves
// the device.
constexpr unsigned kMaxBackground = 64;

void init(void* edge, fuse_conn_info* connection) {
  constexpr unsigned kWanted = FUSE_CAP_ASYNC_READ | FUSE_CAP_EXPORT_SUPPORT | FUSE_CAP_IOCTL_DIR |
                               FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_ASYNC_DIO |
                               FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_NO_OPEN_SUPPORT | FUSE_CAP_NO_OPENDIR_SUPPORT |
                               FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_HANDLE_KILLPRIV |
                               FUSE_CAP_POSIX_ACL | FUSE_CAP_DONT_MASK;
  // Copies through pipes are no gain, nothing changes behind the kernel's back, and locks are its own affair.
  constexpr unsigned kUnwanted = FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
                                 FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS |
                                 FUSE_CAP_ATOMIC_O_TRUNC;
  connection->want = (connection->want | (connection->capable & kWanted)) & ~kUnwanted;
  // Every link that is followed is read then.
  const bool reading_counts = static_cast<Edge*>(edge)->volume.access_times() != volume::AccessTimes::never;
  if (reading_counts) connection->want &= ~static_cast<unsigned>(FUSE_CAP_CACHE_SYMLINKS);
  connection->max_write = kMaxTransfer;
  connection->max_readahead = kMaxTransfer;
  connection->max_background = kMaxBackground;
  connection->congestion_threshold = kMaxBackground * 3 / 4;
  connection->time_gran = 1;
}

void statistics(fuse_req_t request, fuse_ino_t /*inode*/) {
  const volume::VolumeSpace space = volume_of(request).space();
  struct statvfs result {};
  result.f_bsize = space.block_size;
  result.f_frsize = space.block_size;
  result.f_blocks = space.blocks;
  result.f_bfree = space.free;
  result.f_bavail = space.available;
  result.f_files = space.inodes + space.inodes_free;
  result.f_ffree = space.inodes_free;
  result.f_favail = space.inodes_free;
  result.f_namemax = NAME_MAX;
  static_cast<void>(fuse_reply_statfs(request, &result));
}

}  // namespace

void add_volume_operations(fuse_lowlevel_ops& operations) {
  operations.init = init;
  operations.statfs = statistics;
}

fuse_lowlevel_ops all_operations() {
  fuse_lowlevel_ops operations{};
  add_name_operations(operations);
  add_directory_operations(operations);
  add_attribute_operations(operations);
  add_control_operations(operations);
  add_xattr_operations(operations);
  add_content_operations(operations);
  add_volume_operations(operations);
  return operations;
}

}  // namespace ashlar::fuse
