#include "fs/fuse/request.h"

#include <linux/capability.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "fs/fuse/caller.h"

namespace ashlar::fuse {
namespace {

constexpr blksize_t kPreferredTransfer = 1U << 16;

}  // namespace

Edge& edge_of(fuse_req_t request) noexcept { return *static_cast<Edge*>(fuse_req_userdata(request)); }

volume::Context context_of(fuse_req_t request) {
  const fuse_ctx* caller = fuse_req_ctx(request);
  return {Worker::current().io(), time_now(), caller->uid, caller->gid, caller->umask, [request](gid_t group) {
            return is_in_group(request, group) || has_capability(request, CAP_FSETID);
          }};
}

timespec time_now() noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return now;
}

struct stat to_stat(const volume::Attributes& attributes) noexcept {
  struct stat result {};
  result.st_ino = attributes.inode.value();
  result.st_mode = attributes.mode;
  result.st_nlink = attributes.links;
  result.st_uid = attributes.uid;
  result.st_gid = attributes.gid;
  result.st_size = static_cast<off_t>(attributes.size);
  // Programs (tar -S) take a file without blocks for one that holds nothing and do not read it. Contents may lie in the
  // tree, and the kernel goes on showing this number while it holds contents that were never written.
  const bool looks_empty = S_ISREG(attributes.mode) && attributes.blocks == 0;
  result.st_blocks = looks_empty ? 1 : static_cast<blkcnt_t>(attributes.blocks);
  result.st_rdev = attributes.device;
  result.st_blksize = kPreferredTransfer;
  result.st_atim = attributes.accessed;
  result.st_mtim = attributes.modified;
  result.st_ctim = attributes.changed;
  return result;
}

fuse_entry_param to_entry(const volume::Attributes& attributes) noexcept {
  fuse_entry_param entry{};
  entry.ino = attributes.inode.value();
  // Goes into file handles (the lower half). The root's is 0: the kernel made it before it could ask.
  entry.generation = attributes.inode == kRootInode ? 0 : attributes.generation.value();
  entry.attr = to_stat(attributes);
  entry.attr_timeout = kForever;
  entry.entry_timeout = kForever;
  return entry;
}

Status bring_home(Edge& edge, InodeNumber inode, Crew::Need need) {
  const Crew::Absence absence(Worker::current().crew(), need);
  if (!absence) return fail(ErrorCode::busy, "too many files are being written back");
  return invalidate_inode(edge.connection, inode, 0);
}

void reply_error(fuse_req_t request, const Error& error) noexcept {
  static_cast<void>(fuse_reply_err(request, error.error_number()));
}

void reply(fuse_req_t request, const Status& status) noexcept {
  static_cast<void>(fuse_reply_err(request, status ? 0 : status.error().error_number()));
}

void reply_entry(fuse_req_t request, const Result<volume::Attributes>& attributes) noexcept {
  if (!attributes) return reply_error(request, attributes.error());
  const fuse_entry_param entry = to_entry(*attributes);
  if (fuse_reply_entry(request, &entry) == 0) return;
  // The kernel did not take it, so it holds no reference.
  volume_of(request).forget(Worker::current().io(), attributes->inode, 1);
}

void reply_attributes(fuse_req_t request, const Result<volume::Attributes>& attributes) noexcept {
  if (!attributes) return reply_error(request, attributes.error());
  const struct stat status = to_stat(*attributes);
  static_cast<void>(fuse_reply_attr(request, &status, kForever));
}

}  // namespace ashlar::fuse
