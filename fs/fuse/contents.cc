// read, write, fsync, fallocate, lseek, copy_file_range. There is no flush, and no open unless reading is to move
// access times: the kernel learns that it need not ask.
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "fs/fuse/caller.h"
#include "fs/fuse/operations.h"
#include "fs/fuse/request.h"

namespace ashlar::fuse {
namespace {

// Whether who reads through a descriptor with these flags of open(2) moves the access time. Through one that is for
// writing only, the kernel reads the rest of pages that are written in part.
bool reads_for_somebody(unsigned flags) noexcept { return (flags & O_ACCMODE) != O_WRONLY && (flags & O_NOATIME) == 0; }

void open(fuse_req_t request, fuse_ino_t inode, fuse_file_info* file) {
  volume::Volume& volume = volume_of(request);
  // From here on the kernel opens and closes files without asking.
  if (volume.access_times() == volume::AccessTimes::never) return static_cast<void>(fuse_reply_err(request, ENOSYS));
  volume::Context context = context_of(request);
  // What the page cache has is read without us. So where reading would move the time, the cache has to go.
  file->keep_cache = reads_for_somebody(static_cast<unsigned>(file->flags)) &&
                             volume.reading_moves_access_time(context, InodeNumber{inode})
                         ? 0
                         : 1;
  static_cast<void>(fuse_reply_open(request, file));
}

// Of one that changes contents. With write-back caching the kernel keeps the times of files: it stamps every change,
// and sends those times when it sees fit. Stamped here as well, somewhat later, they would be other ones after the next
// mount than those that everybody has seen, whenever the kernel's stamp was the one that the file had already.
volume::Context writing_context_of(fuse_req_t request) {
  volume::Context context = context_of(request);
  context.brings_times = true;
  return context;
}

void read(fuse_req_t request, fuse_ino_t inode, std::size_t size, off_t offset, fuse_file_info* /*file*/) {
  if (offset < 0 || size > kMaxTransfer) return static_cast<void>(fuse_reply_err(request, EINVAL));
  volume::Context context = context_of(request);
  const Result<std::span<const std::byte>> data =
      volume_of(request).read(context, InodeNumber{inode}, static_cast<std::uint64_t>(offset), size,
                              Worker::current().transport().answer_space());
  if (!data) return reply_error(request, data.error());
  if (reads_for_somebody(raw_body<fuse_read_in>().flags)) volume_of(request).accessed(context, InodeNumber{inode});
  static_cast<void>(fuse_reply_buf(request, reinterpret_cast<const char*>(data->data()), data->size()));
}

void write(fuse_req_t request, fuse_ino_t inode, const char* data, std::size_t size, off_t offset,
           fuse_file_info* /*file*/) {
  if (offset < 0) return static_cast<void>(fuse_reply_err(request, EINVAL));
  volume::Context context = writing_context_of(request);
  const std::uint32_t flags = raw_body<fuse_write_in>().write_flags;
  const bool clear_privileges = (flags & FUSE_WRITE_KILL_SUIDGID) != 0;
  const auto origin = (flags & FUSE_WRITE_CACHE) != 0 ? volume::WriteOrigin::page_cache : volume::WriteOrigin::caller;
  const Status written = volume_of(request).write(context, InodeNumber{inode}, static_cast<std::uint64_t>(offset),
                                                  std::as_bytes(std::span(data, size)), clear_privileges, origin);
  if (!written) {
    if (origin == volume::WriteOrigin::page_cache) {
      edge_of(request).late_errors->note(InodeNumber{inode}, written.error().code());
    }
    return reply_error(request, written.error());
  }
  static_cast<void>(fuse_reply_write(request, size));
}

void sync(fuse_req_t request, fuse_ino_t inode, int data_only, fuse_file_info* /*file*/) {
  volume::Context context = context_of(request);
  reply(request, volume_of(request).sync_inode(context, InodeNumber{inode}, data_only != 0));
}

// Whether S_ISUID and S_ISGID of the file have to go. These requests do not say so, as WRITE and SETATTR do.
bool clears_privileges(fuse_req_t request, volume::Context& context, InodeNumber inode) {
  const Result<volume::Attributes> attributes = volume_of(request).attributes(context, inode);
  if (!attributes) return true;  // the operation itself meets the error
  return (attributes->mode & (S_ISUID | S_ISGID)) != 0 && !has_capability(request, CAP_FSETID);
}

void allocate(fuse_req_t request, fuse_ino_t inode, int mode, off_t offset, off_t length, fuse_file_info* /*file*/) {
  if (offset < 0 || length <= 0) return static_cast<void>(fuse_reply_err(request, EINVAL));
  volume::Context context = writing_context_of(request);
  reply(request, volume_of(request).allocate(context, InodeNumber{inode}, mode, static_cast<std::uint64_t>(offset),
                                             static_cast<std::uint64_t>(length),
                                             clears_privileges(request, context, InodeNumber{inode})));
}

void copy(fuse_req_t request, fuse_ino_t source, off_t source_offset, fuse_file_info* /*source_file*/,
          fuse_ino_t target, off_t target_offset, fuse_file_info* /*target_file*/, std::size_t length, int flags) {
  if (source_offset < 0 || target_offset < 0 || flags != 0) return static_cast<void>(fuse_reply_err(request, EINVAL));
  volume::Context context = writing_context_of(request);
  const volume::Volume::CopyRange range{InodeNumber{source}, static_cast<std::uint64_t>(source_offset),
                                        InodeNumber{target}, static_cast<std::uint64_t>(target_offset), length};
  const Result<std::uint64_t> copied = volume_of(request).copy(
      context, range, clears_privileges(request, context, range.target), Worker::current().transport().answer_space());
  if (!copied) return reply_error(request, copied.error());
  volume_of(request).accessed(context, range.source);
  static_cast<void>(fuse_reply_write(request, *copied));
}

void seek(fuse_req_t request, fuse_ino_t inode, off_t offset, int whence, fuse_file_info* /*file*/) {
  if (offset < 0 || offset == std::numeric_limits<off_t>::max())
    return static_cast<void>(fuse_reply_err(request, ENXIO));
  volume::Context context = context_of(request);
  // The kernel asks without writing what it holds, so a hole here may be data there. Where that cannot be helped, all
  // counts as data, as far as is known.
  if (!bring_home(edge_of(request), InodeNumber{inode}, Crew::Need::wish)) {
    const Result<volume::Attributes> known = volume_of(request).attributes(context, InodeNumber{inode});
    if (!known) return reply_error(request, known.error());
    const auto end = std::max(offset + 1, static_cast<off_t>(known->size));
    return static_cast<void>(fuse_reply_lseek(request, whence == SEEK_DATA ? offset : end));
  }
  const Result<std::uint64_t> found =
      volume_of(request).seek(context, InodeNumber{inode}, static_cast<std::uint64_t>(offset), whence);
  if (!found && found.error().code() == ErrorCode::no_such_device)
    return static_cast<void>(fuse_reply_err(request, ENXIO));
  if (!found) return reply_error(request, found.error());
  static_cast<void>(fuse_reply_lseek(request, static_cast<off_t>(*found)));
}

}  // namespace

void add_content_operations(fuse_lowlevel_ops& operations) {
  operations.open = open;
  operations.read = read;
  operations.write = write;
  operations.fsync = sync;
  operations.fallocate = allocate;
  operations.copy_file_range = copy;
  operations.lseek = seek;
}

}  // namespace ashlar::fuse
