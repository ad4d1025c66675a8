// Taking names away.
#include <sys/stat.h>

#include "fs/volume/link_counts.h"
#include "fs/volume/operation.h"
#include "fs/volume/volume.h"

namespace ashlar::volume {
namespace {

// One attempt with both inodes locked; false when the name has come to lead elsewhere meanwhile.
Result<bool> remove_locked(VolumeState& volume, Context& context, Inode& directory, Inode& inode,
                           std::string_view name) {
  TRY(check_names_may_change(directory.item, true));
  const auto found = TRY(find_name(volume, context.io, directory.number(), name));
  if (!found) return fail(ErrorCode::not_found);
  if (found->inode != inode.number()) return false;
  if (is_protected(inode.item)) return fail(ErrorCode::not_permitted);
  if (inode.is_directory() && !TRY(has_no_names(volume, context.io, inode.number()))) {
    return fail(ErrorCode::directory_not_empty);
  }
  store::Transaction transaction;
  NameChanges names(volume, context.io);
  TRY(names.remove(directory.number(), name));
  StagedInode above(directory);
  StagedInode removed(inode);
  take_from_directory(above.next, inode.is_directory(), context.now);
  drop_name(transaction, volume, removed, context.now);
  names.stage(transaction);
  TRY(commit(volume, context.io, transaction, {&above, &removed}, store::CommitKind::freeing));
  return true;
}

Status remove_name(VolumeState& volume, Context& context, InodeNumber parent, std::string_view name, bool directories) {
  TRY(check_writable(volume));
  const InodeRef directory = TRY(acquire_directory(volume, context.io, parent));
  for (int attempt = 0; attempt < kMaxNameRaces; ++attempt) {
    const InodeRef inode = TRY(acquire_named(volume, context.io, *directory, name));
    if (directories && !inode->is_directory()) return fail(ErrorCode::not_a_directory);
    if (!directories && inode->is_directory()) return fail(ErrorCode::is_a_directory);
    if (&*inode == &*directory) return fail(ErrorCode::corrupt_structure, "a directory holds itself");
    const InodeLocks locks({&*directory, &*inode});
    if (TRY(remove_locked(volume, context, *directory, *inode, name))) return {};
  }
  return fail(ErrorCode::try_again);
}

}  // namespace

Status Volume::unlink(Context& context, InodeNumber parent, std::string_view name) {
  TRY(check_name(name));
  if (is_dot_or_dot_dot(name)) return fail(ErrorCode::is_a_directory);
  TRY(remove_name(*state_, context, parent, name, false));
  state_->reaper.work(context.io);
  return {};
}

Status Volume::remove_directory(Context& context, InodeNumber parent, std::string_view name) {
  TRY(check_name(name));
  if (name == ".") return fail(ErrorCode::invalid_argument);
  if (name == "..") return fail(ErrorCode::directory_not_empty);
  TRY(remove_name(*state_, context, parent, name, true));
  state_->reaper.work(context.io);
  return {};
}

}  // namespace ashlar::volume
