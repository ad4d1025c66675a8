// Looking names up and listing them.
#include <dirent.h>
#include <fmt/core.h>

#include <shared_mutex>
#include <string>
#include <vector>

#include "fs/volume/operation.h"
#include "fs/volume/volume.h"

namespace ashlar::volume {
namespace {

// Positions of the two entries that are not items; format::kFirstDirentHash is above both.
constexpr std::uint64_t kDotPosition = 1;
constexpr std::uint64_t kDotDotPosition = 2;
static_assert(kDotDotPosition < format::kFirstDirentHash);

// Names copied out of the tree at a time, so that its lock is held shortly and no visitor runs under it.
constexpr std::size_t kNamesPerBatch = 256;

struct ListedName {
  NamedInode what;
  std::uint64_t position = 0;
  std::size_t name_offset = 0;  // in Batch::text
  std::size_t name_length = 0;
};

struct Batch {
  std::vector<ListedName> names;
  std::string text;
  bool malformed = false;
  bool complete = true;  // nothing follows
};

// Appends one item's names. Entries whose hash is the same lie between the same positions, so all but the last of them
// carry the position before: a walk that stops among them sees some twice rather than miss one.
void append_item(Batch& batch, std::uint64_t hash, std::span<const std::byte> value) {
  format::DirentCursor cursor(value);
  const std::size_t before = batch.names.size();
  while (const auto entry = cursor.next()) {
    batch.names.push_back({{entry->inode, entry->type}, hash - 1, batch.text.size(), entry->name.size()});
    batch.text.append(entry->name);
  }
  if (batch.names.size() != before) batch.names.back().position = hash;
  batch.malformed |= cursor.malformed();
}

Status read_batch(VolumeState& volume, blockio::IoQueue& io, InodeNumber directory, std::uint64_t after, Batch& batch) {
  batch.names.clear();
  batch.text.clear();
  batch.complete = true;
  if (after == ~0ULL) return {};
  return volume.store->scan(io, {directory, format::ItemKind::dirent, after + 1},
                            {directory, format::ItemKind::dirent, ~0ULL},
                            [&batch](const format::Key& key, std::span<const std::byte> value) {
                              if (batch.names.size() >= kNamesPerBatch) {
                                batch.complete = false;
                                return false;
                              }
                              append_item(batch, key.offset, value);
                              return true;
                            });
}

// Shows one entry to the visitor; false when it wants no more.
bool visit_entry(VolumeState& volume, Context& context, const DirectoryEntry& entry, bool with_attributes, bool counts,
                 const Volume::EntryVisitor& visit) {
  if (!with_attributes) return visit(entry, nullptr);
  Result<InodeRef> inode = volume.inodes.acquire(context.io, entry.inode);
  if (!inode) return visit(entry, nullptr);  // gone since, or unreadable: who asks for it will be told
  const Attributes attributes = read_attributes(volume, **inode);
  // Counted first: once the visitor has accepted it, the kernel may already forget it.
  if (counts) volume.inodes.add_reference(**inode);
  if (visit(entry, &attributes)) return true;
  if (counts) volume.inodes.drop_references(entry.inode, 1);
  return false;
}

Result<InodeRef> acquire_parent(VolumeState& volume, blockio::IoQueue& io, Inode& directory) {
  InodeNumber parent;
  {
    const std::shared_lock guard(directory.lock);
    parent = InodeNumber{directory.item.parent};
  }
  return acquire_directory(volume, io, parent);
}

}  // namespace

Result<InodeRef> acquire_named(VolumeState& volume, blockio::IoQueue& io, Inode& directory, std::string_view name) {
  for (int attempt = 0; attempt < kMaxNameRaces; ++attempt) {
    const auto found = TRY(find_name(volume, io, directory.number(), name));
    if (!found) return fail(ErrorCode::not_found);
    Result<InodeRef> inode = volume.inodes.acquire(io, found->inode);
    if (inode || inode.error().code() != ErrorCode::stale_handle) return inode;
    const auto again = TRY(find_name(volume, io, directory.number(), name));
    if (again && again->inode == found->inode) {
      return fail(ErrorCode::corrupt_structure,
                  fmt::format("directory {}: a name leads to inode {}, which is not there", directory.number().value(),
                              found->inode.value()));
    }
  }
  return fail(ErrorCode::try_again);
}

Result<Attributes> Volume::lookup(Context& context, InodeNumber parent, std::string_view name) {
  TRY(check_name(name));
  InodeRef inode;
  if (name == ".") {
    inode = TRY(state_->inodes.acquire(context.io, parent));
  } else {
    const InodeRef directory = TRY(acquire_directory(*state_, context.io, parent));
    inode = name == ".." ? TRY(acquire_parent(*state_, context.io, *directory))
                         : TRY(acquire_named(*state_, context.io, *directory, name));
  }
  const Attributes attributes = read_attributes(*state_, *inode);
  // Its last name went between the look-up and now; an inode without names has no way back into the kernel by name.
  if (attributes.links == 0) return fail(ErrorCode::not_found);
  state_->inodes.add_reference(*inode);
  return attributes;
}

void Volume::forget(blockio::IoQueue& io, InodeNumber inode, std::uint64_t references) {
  state_->inodes.drop_references(inode, references);
  state_->reaper.work(io);
}

Status Volume::read_directory(Context& context, InodeNumber number, std::uint64_t position, bool with_attributes,
                              const EntryVisitor& visit) {
  VolumeState& volume = *state_;
  const InodeRef directory = TRY(acquire_directory(volume, context.io, number));
  if (position < kDotPosition) {
    const DirectoryEntry dot{number, DT_DIR, ".", kDotPosition};
    if (!visit_entry(volume, context, dot, with_attributes, false, visit)) return {};
  }
  if (position < kDotDotPosition) {
    InodeNumber parent;
    {
      const std::shared_lock guard(directory->lock);
      parent = InodeNumber{directory->item.parent};
    }
    const DirectoryEntry dot_dot{parent, DT_DIR, "..", kDotDotPosition};
    if (!visit_entry(volume, context, dot_dot, with_attributes, false, visit)) return {};
    position = kDotDotPosition;
  }
  Batch batch;
  do {
    TRY(read_batch(volume, context.io, number, std::max(position, kDotDotPosition), batch));
    for (const ListedName& listed : batch.names) {
      const auto name = std::string_view(batch.text).substr(listed.name_offset, listed.name_length);
      const DirectoryEntry entry{listed.what.inode, listed.what.type, name, listed.position};
      if (!visit_entry(volume, context, entry, with_attributes, true, visit)) return {};
      position = listed.position;
    }
  } while (!batch.complete);
  if (batch.malformed) {
    return fail(ErrorCode::corrupt_structure, fmt::format("directory {}: malformed entry", number.value()));
  }
  return {};
}

}  // namespace ashlar::volume
