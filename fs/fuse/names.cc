// lookup, forget, mknod, mkdir, symlink, link, unlink, rmdir, rename, readlink.
#include <sys/stat.h>

#include "fs/fuse/operations.h"
#include "fs/fuse/request.h"

namespace ashlar::fuse {
namespace {

void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  volume::Context context = context_of(request);
  const Result<volume::Attributes> found = volume_of(request).lookup(context, InodeNumber{parent}, name);
  if (found || found.error().code() != ErrorCode::not_found) return reply_entry(request, found);
  // That there is no such name is remembered as well.
  fuse_entry_param negative{};
  negative.entry_timeout = kForever;
  static_cast<void>(fuse_reply_entry(request, &negative));
}

void forget(fuse_req_t request, fuse_ino_t inode, std::uint64_t references) {
  volume_of(request).forget(Worker::current().io(), InodeNumber{inode}, references);
  fuse_reply_none(request);
}

void forget_multi(fuse_req_t request, std::size_t count, fuse_forget_data* forgets) {
  for (std::size_t i = 0; i < count; ++i) {
    volume_of(request).forget(Worker::current().io(), InodeNumber{forgets[i].ino}, forgets[i].nlookup);
  }
  fuse_reply_none(request);
}

void make_node(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t device) {
  volume::Context context = context_of(request);
  const volume::NewNode node{mode, static_cast<std::uint32_t>(device)};
  reply_entry(request, volume_of(request).make_node(context, InodeNumber{parent}, name, node));
}

void make_directory(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
  make_node(request, parent, name, (mode & ~static_cast<mode_t>(S_IFMT)) | S_IFDIR, 0);
}

void make_symlink(fuse_req_t request, const char* target, fuse_ino_t parent, const char* name) {
  volume::Context context = context_of(request);
  reply_entry(request, volume_of(request).make_symlink(context, InodeNumber{parent}, name, target));
}

void link(fuse_req_t request, fuse_ino_t inode, fuse_ino_t parent, const char* name) {
  volume::Context context = context_of(request);
  reply_entry(request, volume_of(request).link(context, InodeNumber{inode}, InodeNumber{parent}, name));
}

void unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
  volume::Context context = context_of(request);
  reply(request, volume_of(request).unlink(context, InodeNumber{parent}, name));
}

void remove_directory(fuse_req_t request, fuse_ino_t parent, const char* name) {
  volume::Context context = context_of(request);
  reply(request, volume_of(request).remove_directory(context, InodeNumber{parent}, name));
}

void rename(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t new_parent, const char* new_name,
            unsigned flags) {
  volume::Context context = context_of(request);
  reply(request,
        volume_of(request).rename(context, InodeNumber{parent}, name, InodeNumber{new_parent}, new_name, flags));
}

void read_link(fuse_req_t request, fuse_ino_t inode) {
  volume::Context context = context_of(request);
  const Result<std::string> target = volume_of(request).read_symlink(context, InodeNumber{inode});
  if (!target) return reply_error(request, target.error());
  volume_of(request).accessed(context, InodeNumber{inode});
  static_cast<void>(fuse_reply_readlink(request, target->c_str()));
}

}  // namespace

void add_name_operations(fuse_lowlevel_ops& operations) {
  operations.lookup = lookup;
  operations.forget = forget;
  operations.forget_multi = forget_multi;
  operations.mknod = make_node;
  operations.mkdir = make_directory;
  operations.symlink = make_symlink;
  operations.link = link;
  operations.unlink = unlink;
  operations.rmdir = remove_directory;
  operations.rename = rename;
  operations.readlink = read_link;
}

}  // namespace ashlar::fuse
