// Filesystem semantics over the store: inodes, names, file contents. Knows nothing of FUSE.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "blockio/aligned_buffer.h"
#include "blockio/block_device.h"
#include "fs/base/result.h"
#include "fs/store/store.h"
#include "fs/volume/defragment.h"
#include "fs/volume/extent_list.h"
#include "fs/volume/scrub.h"
#include "fs/volume/types.h"

namespace ashlar::volume {

struct VolumeState;

struct VolumeOptions {
  store::StoreOptions store;
  AccessTimes access_times = AccessTimes::never;
  bool no_directory_access_times = false;  // nodiratime
  bool no_copy_on_write = false;
  bool sync_names = false;  // what changes a directory returns when it is durable, as with FS_DIRSYNC_FL on each
};

// The most bytes one write transaction takes.
inline constexpr std::size_t kMaxWriteBytes = 1U << 20;

// Names are 1 to 255 bytes without NUL and '/'; longer is name_too_long. Thread-safe: each inode has a reader-writer
// lock; operations on several inodes take them in the order of their numbers. Every operation is one transaction (or
// none); nothing is durable before fsync, fsync_all, or the store's periodic sync, but for names where VolumeOptions or
// the directory's flags (FS_DIRSYNC_FL, FS_SYNC_FL) say so.
//
// The kernel's references are counted as it counts them: lookup(), make_node(), link() (of their result) and
// readdir_plus entries add one, forget() takes them back. An inode without names lives until the last reference is
// gone.
class Volume {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Volume>> open(blockio::BlockDevice& device, blockio::IoQueue& io,
                                                            const VolumeOptions& options);
  // Finishes what it can of removals, then Store::close. No other call may be running. Once it succeeded, nothing is
  // written any more, by another close() neither; that one is ok.
  [[nodiscard]] Status close(blockio::IoQueue& io);
  ~Volume();

  [[nodiscard]] store::Store& store() noexcept;

  // Names.
  // ".." too; "." of any inode, which is how the kernel finds what a file handle (open_by_handle_at(2)) stands for.
  [[nodiscard]] Result<Attributes> lookup(Context& context, InodeNumber parent, std::string_view name);
  void forget(blockio::IoQueue& io, InodeNumber inode, std::uint64_t references);
  [[nodiscard]] Result<Attributes> make_node(Context& context, InodeNumber parent, std::string_view name,
                                             const NewNode& node);
  [[nodiscard]] Result<Attributes> make_symlink(Context& context, InodeNumber parent, std::string_view name,
                                                std::string_view target);
  // An unnamed regular file in parent (O_TMPFILE); link() may name it later.
  [[nodiscard]] Result<Attributes> make_unnamed(Context& context, InodeNumber parent, const NewNode& node);
  [[nodiscard]] Result<Attributes> link(Context& context, InodeNumber inode, InodeNumber parent, std::string_view name);
  [[nodiscard]] Status unlink(Context& context, InodeNumber parent, std::string_view name);
  [[nodiscard]] Status remove_directory(Context& context, InodeNumber parent, std::string_view name);
  // flags: RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT of rename(2)
  [[nodiscard]] Status rename(Context& context, InodeNumber parent, std::string_view name, InodeNumber new_parent,
                              std::string_view new_name, unsigned flags);
  [[nodiscard]] Result<std::string> read_symlink(Context& context, InodeNumber inode);

  // Entries after `position` (0: from the start, "." and ".." included), until the visitor returns false. An entry that
  // stays is visited exactly once in a walk (at least once when its name's hash collides with another's). The visitor
  // runs without any lock; it gets each entry's attributes when `with_attributes` (null when they cannot be read), and
  // then each entry (but . and ..) that was given with attributes and accepted counts one reference.
  using EntryVisitor = std::function<bool(const DirectoryEntry& entry, const Attributes* attributes)>;
  [[nodiscard]] Status read_directory(Context& context, InodeNumber directory, std::uint64_t position,
                                      bool with_attributes, const EntryVisitor& visit);

  // Attributes.
  [[nodiscard]] Result<Attributes> attributes(Context& context, InodeNumber inode);
  [[nodiscard]] Result<Attributes> set_attributes(Context& context, InodeNumber inode, const AttributeChange& change);
  // Somebody reads a file's contents, a directory's entries or a link's target, which moves the access time as
  // VolumeOptions say. It is kept in memory (attributes() shows it) until the inode changes, sync_inode(), sync_all(),
  // close(), or many such times wait.
  void accessed(Context& context, InodeNumber inode);
  [[nodiscard]] bool reading_moves_access_time(Context& context, InodeNumber inode);
  [[nodiscard]] AccessTimes access_times() const noexcept;
  [[nodiscard]] Result<std::uint32_t> inode_flags(Context& context, InodeNumber inode);  // FS_*_FL
  [[nodiscard]] Status set_inode_flags(Context& context, InodeNumber inode, std::uint32_t flags);

  // Extended attributes; names with their prefix, not_supported when it is none of user, trusted, security and the two
  // access control lists (acl.h), which change the mode as well. flags: XATTR_CREATE, XATTR_REPLACE.
  [[nodiscard]] Result<std::string> get_xattr(Context& context, InodeNumber inode, std::string_view name);
  [[nodiscard]] Status set_xattr(Context& context, InodeNumber inode, std::string_view name,
                                 std::span<const std::byte> value, int flags);
  [[nodiscard]] Status remove_xattr(Context& context, InodeNumber inode, std::string_view name);
  [[nodiscard]] Result<std::string> list_xattrs(Context& context,
                                                InodeNumber inode);  // NUL-terminated names back to back

  // Contents. read(): the bytes from `offset`, at most `length`, fewer only at the end of the file. They lie in
  // `buffer`, which must hold length + 2 blocks (the device fills it directly, so they may begin inside it).
  [[nodiscard]] Result<std::span<const std::byte>> read(Context& context, InodeNumber inode, std::uint64_t offset,
                                                        std::size_t length, std::span<std::byte> buffer);
  // Writes all of `data` or nothing. Page-aligned memory at block-aligned offsets goes to the device without a copy.
  // clear_privileges: drop suid, sgid; security.capability goes always, but for what comes from the page cache. What is
  // longer than kMaxWriteBytes becomes several transactions.
  [[nodiscard]] Status write(Context& context, InodeNumber inode, std::uint64_t offset, std::span<const std::byte> data,
                             bool clear_privileges, WriteOrigin origin = WriteOrigin::caller);
  // mode: FALLOC_FL_*; clear_privileges as for write().
  [[nodiscard]] Status allocate(Context& context, InodeNumber inode, int mode, std::uint64_t offset,
                                std::uint64_t length, bool clear_privileges = false);
  // Makes a hole; a file that ends before the hole does, ends with it.
  [[nodiscard]] Status make_hole(Context& context, InodeNumber inode, std::uint64_t offset, std::uint64_t length,
                                 bool clear_privileges);
  // Copies from the source what there is of `length` bytes, returns how many it was; it may stop early. Holes become
  // holes. `buffer` as for read(), of kMaxWriteBytes; clear_privileges as for write().
  struct CopyRange {
    InodeNumber source;
    std::uint64_t source_offset = 0;
    InodeNumber target;
    std::uint64_t target_offset = 0;
    std::uint64_t length = 0;
  };
  [[nodiscard]] Result<std::uint64_t> copy(Context& context, const CopyRange& range, bool clear_privileges,
                                           std::span<std::byte> buffer);
  // whence: SEEK_HOLE or SEEK_DATA. no_such_device (to be reported as ENXIO) at or past the end of the file, or when no
  // data follows.
  [[nodiscard]] Result<std::uint64_t> seek(Context& context, InodeNumber inode, std::uint64_t offset, int whence);

  // All that was done to the inode, and to the volume before the last of it: the log up to there. data_only as
  // fdatasync.
  [[nodiscard]] Status sync_inode(Context& context, InodeNumber inode, bool data_only);
  [[nodiscard]] Status sync_all(Context& context);

  // One step of looking for damage, from where the last one ended: at most about `budget` bytes are read. Metadata is
  // healed from its other copy; file data can only be told to be bad. `buffer`: room for a block at least, aligned for
  // the device.
  [[nodiscard]] Result<ScrubStep> scrub(Context& context, const ScrubPosition& from, std::uint64_t budget,
                                        std::span<std::byte> buffer);

  // One step of putting a regular file's pieces together, from where the last one ended, while the file is in use:
  // nothing that a reader, a writer or stat(2) can see changes. no_space: not even a piece at a time finds room;
  // io_error: a block that was to be moved is damaged, and stays where it is. `buffer`: room for a block at least,
  // aligned for the device; more of it, up to kMaxWriteBytes, makes larger transfers.
  [[nodiscard]] Result<DefragmentStep> defragment(Context& context, const DefragmentRequest& request,
                                                  std::span<std::byte> buffer);

  // How a regular file lies from `position` on: at most so many extents. An extent in which `position` lies is told
  // whole.
  [[nodiscard]] Result<ExtentList> list_extents(Context& context, InodeNumber inode, std::uint64_t position,
                                                std::size_t most);

  // Nothing is written from now on, not even what was done already: as if the power had gone. What would change
  // something fails with shut_down.
  void stop(std::string reason);

  [[nodiscard]] VolumeSpace space() const;

 private:
  explicit Volume(std::unique_ptr<VolumeState> state);
  std::unique_ptr<VolumeState> state_;
};

}  // namespace ashlar::volume
