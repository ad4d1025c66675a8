// What the passes of one check share. Data flows from pass to pass in the order of check.cc.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "blockio/block_device.h"
#include "blockio/io_queue.h"
#include "fs/format/items.h"
#include "fs/format/layout.h"
#include "fs/format/node.h"
#include "fs/format/superblock.h"
#include "fsck/block_map.h"
#include "fsck/check.h"
#include "fsck/finding.h"
#include "fsck/lost_keys.h"
#include "fsck/salvaged_items.h"

namespace ashlar::fsck {

inline constexpr std::uint64_t kRootNumber = kRootInode.value();

// An inode in 64 bytes: all that later passes need of it.
struct InodeRecord {
  std::uint64_t number = 0;
  std::uint64_t parent = 0;
  std::uint64_t entries = 0;       // as its item says
  std::uint64_t found_parent = 0;  // of a directory: where its name is
  std::uint32_t mode = 0;
  std::uint32_t links = 0;           // as its item says
  std::uint32_t names = 0;           // found
  std::uint32_t subdirectories = 0;  // found in it
  std::uint64_t found_entries = 0;
  bool is_orphan = false;
  bool is_placed = false;  // a directory: a repair has chosen its place
  enum class Walk : std::uint8_t { not_yet, under_way, done };
  Walk walk = Walk::not_yet;  // up to the root
};

// One name, kept until all inodes are known. 24 bytes a name.
struct NameRecord {
  std::uint64_t directory = 0;
  std::uint64_t target = 0;
  std::uint8_t type = 0;
};

// Inode numbers whose inodes and names are remembered now. Directories are remembered whatever their number.
struct InodeWindow {
  std::uint64_t first = 0;
  std::uint64_t last = ~0ULL;

  [[nodiscard]] bool holds(std::uint64_t number) const { return number >= first && number <= last; }
};

struct OrphanRecord {
  std::uint64_t number = 0;
  format::OrphanReason reason = format::OrphanReason::unlinked;
};

using Overlay = std::map<format::Key, std::optional<std::vector<std::byte>>>;  // none: erased

struct ProgressSpan {
  Pass pass = Pass::log;
  double from = 0;
  double to = 1;
};

struct CheckContext {
  CheckContext(blockio::BlockDevice& block_device, blockio::IoQueue& queue, const CheckOptions& check_options,
               const format::Superblock& newest)
      : device(block_device),
        io(queue),
        options(check_options),
        superblock(newest),
        layout(format::Layout::of(newest)),
        owned(layout),
        most_now_(check_options.most_records) {}

  // What tell_progress() tells of from now on: a pass, or a part of one.
  void begin_progress(const ProgressSpan& span) { progress_ = span; }
  // Tells how much of that is done (0 to 1); `cancelled` when it is to end.
  [[nodiscard]] Status tell_progress(double part) const;
  // Room for all inodes and names, so that they need not be moved as they come. What the superblock says of their
  // number is believed as far as the volume has room for so many, and memory is used only as they come.
  void reserve_records();
  // Adds a record if the window holds it, and makes the window smaller when there are too many.
  void remember(const InodeRecord& inode);
  void remember(const NameRecord& name);
  // Puts inodes that were remembered behind the first so many, which are in order as they are, where they belong.
  void merge_inodes(std::size_t first);
  // Gives back the memory of inodes and names.
  void forget_records();
  // Leaves only the directories, and begins the window behind this one; false when there is none.
  [[nodiscard]] bool next_window();
  // Writes a bad copy anew when that was asked for.
  void heal(const Report::Place& finding, std::uint64_t offset, std::span<const std::byte> good);
  // Reads the same volume in the same state, from the start and without healing; what it finds is of no interest.
  [[nodiscard]] CheckContext to_read_again() const;

  blockio::BlockDevice& device;
  blockio::IoQueue& io;
  const CheckOptions options;
  const format::Superblock superblock;
  const format::Layout layout;
  Report report;

  // What the log changes, applied to what is on the device while it is read; and what a repair found by scanning, read
  // as if it were in the tree. Shared by all who read the same state, and not changed any more then.
  std::shared_ptr<Overlay> overlay = std::make_shared<Overlay>();
  std::shared_ptr<SalvagedItems> salvaged = std::make_shared<SalvagedItems>();
  struct RunChange {
    BlockRun run;
    bool allocated;
  };
  std::map<std::uint32_t, std::vector<RunChange>>
      run_changes;  // by group, in order; a run over a group's end is in both
  std::uint64_t next_inode = 0;

  LostKeys lost;   // keys whose nodes cannot be reached
  BlockMap owned;  // by nodes and extents
  InodeWindow window;
  std::vector<InodeRecord> inodes;  // ascending
  std::vector<NameRecord> names;
  std::vector<OrphanRecord> orphans;              // ascending, known before the first inode
  std::map<std::uint64_t, std::uint64_t> places;  // the directory of a name of inodes that findings are about

 private:
  void shrink_window();

  ProgressSpan progress_;
  std::size_t directories_kept_ = 0;  // among the inodes, when that was last counted
  std::size_t most_now_;              // records besides those
};

// Null when it is not among them, which are ascending.
[[nodiscard]] InodeRecord* find_inode(std::vector<InodeRecord>& inodes, std::uint64_t number) noexcept;

[[nodiscard]] InodeRecord record_of(InodeNumber number, const format::InodeItem& item) noexcept;

// The passes, each in the file of its name.
[[nodiscard]] Result<std::optional<format::Superblock>> pass_superblock(blockio::BlockDevice& device,
                                                                        blockio::IoQueue& io,
                                                                        const CheckOptions& options, Report& report);
[[nodiscard]] Status pass_log(CheckContext& context);
[[nodiscard]] Status pass_tree(CheckContext& context);
[[nodiscard]] Status pass_names(CheckContext& context);
// The paths of the inodes that findings are about, as far as names lead there.
[[nodiscard]] Status pass_paths(CheckContext& context);
[[nodiscard]] Status pass_bitmaps(CheckContext& context);

}  // namespace ashlar::fsck
