// New inodes and new names for old ones.
#include <sys/stat.h>

#include <mutex>

#include "fs/format/node.h"
#include "fs/volume/acl.h"
#include "fs/volume/file_contents.h"
#include "fs/volume/link_counts.h"
#include "fs/volume/operation.h"
#include "fs/volume/volume.h"

namespace ashlar::volume {
namespace {

bool can_be_made(std::uint32_t mode) noexcept {
  switch (mode & S_IFMT) {
    case S_IFREG:
    case S_IFDIR:
    case S_IFCHR:
    case S_IFBLK:
    case S_IFIFO:
    case S_IFSOCK: return true;
    default: return false;
  }
}

Status check_new_name(std::string_view name) {
  TRY(check_name(name));
  if (is_dot_or_dot_dot(name)) return fail(ErrorCode::already_exists);
  return {};
}

// In parts: small nodes have no room for a long target in one item.
void stage_target(const VolumeState& volume, InodeNumber number, std::string_view target,
                  store::Transaction& transaction) {
  const std::size_t part_size = format::max_value_size(volume.node_size);
  for (std::uint64_t part = 0; !target.empty(); ++part) {
    const std::string_view text = target.substr(0, part_size);
    transaction.put({number, format::ItemKind::symlink, part}, std::as_bytes(std::span(text)));
    target.remove_prefix(text.size());
  }
}

Result<Attributes> try_to_make_named(VolumeState& volume, Context& context, InodeNumber parent, std::string_view name,
                                     const NewNode& node, std::string_view target) {
  const InodeRef directory = TRY(acquire_directory(volume, context.io, parent));
  const std::lock_guard guard(directory->lock);
  TRY(check_names_may_change(directory->item, false));

  store::Transaction transaction;
  const InodeNumber number = TRY(new_inode_number(volume, context.io, transaction));
  NameChanges names(volume, context.io);
  TRY(names.add(parent, name, {number, entry_type(node.mode)}));
  StagedInode above(*directory);
  const bool is_directory = S_ISDIR(node.mode);
  TRY(add_to_directory(above.next, is_directory, context.now));

  const InheritedAcls acls = TRY(inherit_acls(volume, context.io, *directory, node.mode, context.umask));
  format::InodeItem item = new_inode_item(volume, context, directory->item, {acls.mode, node.device});
  TRY(stage_acls(volume, context.io, number, item, acls, transaction));
  item.links = is_directory ? kLinksOfEmptyDirectory : 1;
  item.version = 1;
  if (is_directory) item.parent = parent.value();
  item.size = target.size();
  transaction.put_item(inode_key(number), item);
  stage_target(volume, number, target, transaction);
  names.stage(transaction);

  // In the table before anybody can find the name.
  const InodeRef inode = TRY(volume.inodes.create(number, item));
  TRY(commit(volume, context.io, transaction, {&above}));
  inode->changed_lsn.store(directory->changed_lsn.load(std::memory_order_relaxed), std::memory_order_relaxed);
  volume.inodes.add_reference(*inode);
  return to_attributes(volume, number, item);
}

// Makes an inode with one name; `target`: of a symbolic link.
Result<Attributes> make_named(VolumeState& volume, Context& context, InodeNumber parent, std::string_view name,
                              const NewNode& node, std::string_view target) {
  TRY(check_new_name(name));
  TRY(check_writable(volume));
  return with_space_retry(volume, context.io,
                          [&] { return try_to_make_named(volume, context, parent, name, node, target); });
}

Result<Attributes> try_to_make_unnamed(VolumeState& volume, Context& context, InodeNumber parent, const NewNode& node) {
  const InodeRef directory = TRY(acquire_directory(volume, context.io, parent));
  const std::lock_guard guard(directory->lock);
  TRY(check_names_may_change(directory->item, false));
  store::Transaction transaction;
  const InodeNumber number = TRY(new_inode_number(volume, context.io, transaction));
  const InheritedAcls acls = TRY(inherit_acls(volume, context.io, *directory, node.mode, context.umask));
  format::InodeItem item = new_inode_item(volume, context, directory->item, {acls.mode, node.device});
  TRY(stage_acls(volume, context.io, number, item, acls, transaction));
  item.version = 1;
  put_orphan(transaction, number, volume.generation, format::OrphanReason::unlinked);
  transaction.put_item(inode_key(number), item);
  const InodeRef inode = TRY(volume.inodes.create(number, item));
  const Lsn lsn = TRY(volume.store->commit(context.io, transaction));
  inode->unlinked.store(true, std::memory_order_relaxed);
  inode->changed_lsn.store(lsn.value(), std::memory_order_relaxed);
  volume.inodes.add_reference(*inode);
  return to_attributes(volume, number, item);
}

Result<Attributes> try_to_link(VolumeState& volume, Context& context, InodeNumber number, InodeNumber parent,
                               std::string_view name) {
  const InodeRef directory = TRY(acquire_directory(volume, context.io, parent));
  const InodeRef inode = TRY(volume.inodes.acquire(context.io, number));
  if (inode->is_directory()) return fail(ErrorCode::not_permitted);
  const InodeLocks locks({&*directory, &*inode});
  TRY(check_names_may_change(directory->item, false));
  if (is_protected(inode->item)) return fail(ErrorCode::not_permitted);
  if (inode->item.links >= format::kMaxLinks) return fail(ErrorCode::too_many_links);

  store::Transaction transaction;
  NameChanges names(volume, context.io);
  TRY(names.add(parent, name, {number, entry_type(inode->item.mode)}));
  StagedInode above(*directory);
  StagedInode linked(*inode);
  TRY(add_to_directory(above.next, false, context.now));
  if (linked.next.links == 0 && inode->truncation_unfinished) {
    put_orphan(transaction, number, volume.generation, format::OrphanReason::truncated);
  } else if (linked.next.links == 0) {
    transaction.erase(orphan_key(number));
  }
  linked.next.links = linked.next.links + 1;
  status_changed(linked.next, context.now);
  names.stage(transaction);
  TRY(commit(volume, context.io, transaction, {&above, &linked}));
  volume.inodes.add_reference(*inode);
  return to_attributes(volume, number, inode->item);
}

}  // namespace

Result<Attributes> Volume::make_node(Context& context, InodeNumber parent, std::string_view name, const NewNode& node) {
  if (!can_be_made(node.mode)) return fail(ErrorCode::invalid_argument);
  return make_named(*state_, context, parent, name, node, {});
}

Result<Attributes> Volume::make_symlink(Context& context, InodeNumber parent, std::string_view name,
                                        std::string_view target) {
  constexpr std::uint32_t kAnyPermission = 0777;
  if (target.empty()) return fail(ErrorCode::not_found);
  if (target.size() > format::kMaxSymlinkLength) return fail(ErrorCode::name_too_long);
  if (target.find('\0') != std::string_view::npos) return fail(ErrorCode::invalid_argument);
  return make_named(*state_, context, parent, name, {S_IFLNK | kAnyPermission, 0}, target);
}

Result<std::string> Volume::read_symlink(Context& context, InodeNumber number) {
  const InodeRef inode = TRY(state_->inodes.acquire(context.io, number));
  if (!S_ISLNK(inode->type())) return fail(ErrorCode::invalid_argument);
  std::string target;
  TRY(state_->store->scan(context.io, {number, format::ItemKind::symlink, 0},
                          {number, format::ItemKind::symlink, ~0ULL},
                          [&target](const format::Key&, std::span<const std::byte> part) {
                            target.append(reinterpret_cast<const char*>(part.data()), part.size());
                            return target.size() <= format::kMaxSymlinkLength;
                          }));
  if (target.empty() || target.size() > format::kMaxSymlinkLength) {
    return fail(ErrorCode::corrupt_structure, "symbolic link without a sound target");
  }
  return target;
}

Result<Attributes> Volume::make_unnamed(Context& context, InodeNumber parent, const NewNode& node) {
  if (!S_ISREG(node.mode)) return fail(ErrorCode::invalid_argument);
  TRY(check_writable(*state_));
  return with_space_retry(*state_, context.io, [&] { return try_to_make_unnamed(*state_, context, parent, node); });
}

Result<Attributes> Volume::link(Context& context, InodeNumber number, InodeNumber parent, std::string_view name) {
  TRY(check_new_name(name));
  TRY(check_writable(*state_));
  return with_space_retry(*state_, context.io, [&] { return try_to_link(*state_, context, number, parent, name); });
}

}  // namespace ashlar::volume
