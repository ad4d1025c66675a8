#include "fs/fuse/direct_requests.h"

#include <linux/fs.h>
#include <linux/stat.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

namespace ashlar::fuse {
namespace {

// Not in the headers that libfuse 3.14 came with.
constexpr std::uint32_t kStatxOpcode = 52;

struct StatxTime {
  std::int64_t seconds;
  std::uint32_t nanoseconds;
  std::int32_t reserved;
};
struct StatxOut {
  std::uint64_t attr_valid;
  std::uint32_t attr_valid_nsec;
  std::uint32_t flags;
  std::uint64_t spare[2];
  std::uint32_t mask;
  std::uint32_t block_size;
  std::uint64_t attributes;
  std::uint32_t links;
  std::uint32_t uid;
  std::uint32_t gid;
  std::uint16_t mode;
  std::uint16_t spare0;
  std::uint64_t inode;
  std::uint64_t size;
  std::uint64_t blocks;
  std::uint64_t attributes_mask;
  StatxTime accessed;
  StatxTime born;
  StatxTime changed;
  StatxTime modified;
  std::uint32_t device_major;
  std::uint32_t device_minor;
  std::uint32_t volume_major;
  std::uint32_t volume_minor;
  std::uint64_t spare2[14];
};
static_assert(sizeof(StatxOut) == 32 + 256);

struct TmpfileOut {
  fuse_entry_out entry;
  fuse_open_out open;
};

void send(Worker& worker, std::uint64_t unique, int error_number, std::span<const std::byte> body) {
  fuse_out_header header{static_cast<std::uint32_t>(sizeof header + body.size()), -error_number, unique};
  const std::array<iovec, 2> parts = {iovec{&header, sizeof header},
                                      iovec{const_cast<std::byte*>(body.data()), body.size()}};
  // It fails only when the connection is gone, and then nobody waits.
  static_cast<void>(worker.transport().send(std::span(parts).first(body.empty() ? 1 : 2)));
}

volume::Context context_for(Worker& worker, const fuse_in_header& header) {
  return {worker.io(), time_now(), header.uid, header.gid};
}

void sync_volume(Edge& edge, Worker& worker, const fuse_in_header& header) {
  volume::Context context = context_for(worker, header);
  const Status synced = edge.volume.sync_all(context);
  send(worker, header.unique, synced ? 0 : synced.error().error_number(), {});
}

// When a fuseblk mount ends, the kernel waits for this answer; then it lets go of the device, which nobody claims from
// there on, and umount returns. So everything is written before it, and nothing after it.
void finish_volume(Edge& edge, Worker& worker, const fuse_in_header& header) {
  volume::Context context = context_for(worker, header);
  // What the kernel has sent before is still served meanwhile.
  static_cast<void>(edge.volume.sync_all(context));
  // A failure is in the log, and the volume tells it again to who closes it at the end.
  if (edge.gate->close()) static_cast<void>(edge.volume.close(worker.io()));
  send(worker, header.unique, 0, {});
}

fuse_attr to_fuse_attr(const volume::Attributes& attributes) {
  const struct stat status = to_stat(attributes);
  fuse_attr result{};
  result.ino = status.st_ino;
  result.size = static_cast<std::uint64_t>(status.st_size);
  result.blocks = static_cast<std::uint64_t>(status.st_blocks);
  result.atime = static_cast<std::uint64_t>(status.st_atim.tv_sec);
  result.mtime = static_cast<std::uint64_t>(status.st_mtim.tv_sec);
  result.ctime = static_cast<std::uint64_t>(status.st_ctim.tv_sec);
  result.atimensec = static_cast<std::uint32_t>(status.st_atim.tv_nsec);
  result.mtimensec = static_cast<std::uint32_t>(status.st_mtim.tv_nsec);
  result.ctimensec = static_cast<std::uint32_t>(status.st_ctim.tv_nsec);
  result.mode = status.st_mode;
  result.nlink = static_cast<std::uint32_t>(status.st_nlink);
  result.uid = status.st_uid;
  result.gid = status.st_gid;
  result.blksize = static_cast<std::uint32_t>(status.st_blksize);
  return result;
}

// O_TMPFILE: as CREATE, but the name that follows the body means nothing.
void make_unnamed(Edge& edge, Worker& worker, const fuse_in_header& header, std::span<const std::byte> body) {
  fuse_create_in in;
  if (body.size() < sizeof in) return send(worker, header.unique, EINVAL, {});
  std::memcpy(&in, body.data(), sizeof in);
  volume::Context context = context_for(worker, header);
  context.umask = in.umask;
  const Result<volume::Attributes> made = edge.volume.make_unnamed(context, InodeNumber{header.nodeid}, {in.mode, 0});
  if (!made) return send(worker, header.unique, made.error().error_number(), {});
  TmpfileOut out{};
  out.entry.nodeid = made->inode.value();
  out.entry.generation = made->generation.value();
  out.entry.entry_valid = out.entry.attr_valid = static_cast<std::uint64_t>(kForever);
  out.entry.attr = to_fuse_attr(*made);
  out.open.open_flags = FOPEN_KEEP_CACHE;
  send(worker, header.unique, 0, std::as_bytes(std::span(&out, 1)));
}

StatxTime to_statx(const timespec& time) { return {time.tv_sec, static_cast<std::uint32_t>(time.tv_nsec), 0}; }

void statx_inode(Edge& edge, Worker& worker, const fuse_in_header& header) {
  volume::Context context = context_for(worker, header);
  const Result<volume::Attributes> found = edge.volume.attributes(context, InodeNumber{header.nodeid});
  if (!found) return send(worker, header.unique, found.error().error_number(), {});
  const struct stat status = to_stat(*found);
  StatxOut out{};
  out.attr_valid = static_cast<std::uint64_t>(kForever);
  out.mask = STATX_BASIC_STATS | STATX_BTIME;
  out.block_size = static_cast<std::uint32_t>(status.st_blksize);
  out.links = found->links;
  out.uid = found->uid;
  out.gid = found->gid;
  out.mode = static_cast<std::uint16_t>(found->mode);
  out.inode = found->inode.value();
  out.size = found->size;
  out.blocks = static_cast<std::uint64_t>(status.st_blocks);
  out.accessed = to_statx(found->accessed);
  out.born = to_statx(found->born);
  out.changed = to_statx(found->changed);
  out.modified = to_statx(found->modified);
  out.device_major = major(status.st_rdev);
  out.device_minor = minor(status.st_rdev);
  // With these the kernel has attributes, and will not ask before it writes.
  static_cast<void>(edge.late_errors->take(InodeNumber{header.nodeid}));
  send(worker, header.unique, 0, std::as_bytes(std::span(&out, 1)));
}

}  // namespace

bool answer_directly(Edge& edge, Worker& worker, std::span<const std::byte> request) {
  fuse_in_header header;
  if (request.size() < sizeof header) return false;
  std::memcpy(&header, request.data(), sizeof header);
  switch (header.opcode) {
    case FUSE_SYNCFS: sync_volume(edge, worker, header); return true;
    case FUSE_TMPFILE: make_unnamed(edge, worker, header, request.subspan(sizeof header)); return true;
    case kStatxOpcode: statx_inode(edge, worker, header); return true;
    // Nothing here waits for anything but the device, and the protocol lets a filesystem ignore an interrupt. libfuse
    // keeps one whose request is over and refuses it from the thread of a later request: through a ring that would be
    // the later request's answer.
    case FUSE_INTERRUPT: return true;
    case FUSE_DESTROY: finish_volume(edge, worker, header); return true;
    default: return false;
  }
}

void refuse(Worker& worker, std::span<const std::byte> request) {
  fuse_in_header header;
  if (request.size() < sizeof header) return;
  std::memcpy(&header, request.data(), sizeof header);
  switch (header.opcode) {
    // These have no answer.
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT: return;
    default: send(worker, header.unique, EIO, {});
  }
}

}  // namespace ashlar::fuse
