// Bringing data to the device and into a file's extents: copy-on-write, or in place where nothing written is
// overwritten.
#pragma once

#include <absl/container/inlined_vector.h>
#include <cstddef>
#include <cstdint>
#include <span>

#include "fs/volume/block_source.h"
#include "fs/volume/extent_window.h"
#include "fs/volume/volume_state.h"

namespace ashlar::volume {

// One write of consecutive bytes. In this order, under the inode's exclusive lock: run(), edit() the window, the
// window's stage(), then stage(). Destroyed before that, it never was (save in files without copy-on-write). Who does
// not want those to change before all has been staged calls prepare() instead of run(), and write() after stage().
class ExtentWrite {
 public:
  // Whether blocks that hold data may be overwritten where they lie. What must be old or new as a whole, together with
  // the transaction, needs new ones in any file.
  enum class InPlace : std::uint8_t { without_copy_on_write, never };

  // `kind`: of the commit that is to hold it.
  ExtentWrite(VolumeState& volume, blockio::IoQueue& io, Inode& inode,
              store::CommitKind kind = store::CommitKind::ordinary, InPlace in_place = InPlace::without_copy_on_write)
      : volume_(volume),
        io_(io),
        inode_(inode),
        kind_(kind),
        in_place_(in_place),
        no_copy_on_write_(volume.no_copy_on_write(inode.item)) {}

  // Whole blocks, all to be copied: nothing of the file's old contents is read, and nothing written in place. `window`
  // and the inode's item, read under at least its shared lock, say so.
  [[nodiscard]] static bool could_run_unlocked(const VolumeState& volume, const Inode& inode,
                                               const ExtentWindow& window, std::uint64_t offset,
                                               std::span<const std::byte> data) noexcept;

  // Reads what partial blocks keep, allocates, and writes: `data` is on the device (not necessarily on the medium), or
  // in the store's hands, when this succeeded. The window covers the blocks that will be written.
  [[nodiscard]] Status run(const ExtentWindow& window, std::uint64_t offset, std::span<const std::byte> data,
                           WriteOrigin origin = WriteOrigin::caller);
  // The two parts of run(): nothing is written to the device, or is.
  [[nodiscard]] Status prepare(const ExtentWindow& window, std::uint64_t offset, std::span<const std::byte> data,
                               WriteOrigin origin = WriteOrigin::caller);
  [[nodiscard]] Status write();
  // Blocks that hold data are overwritten where they lie: that cannot be taken back.
  [[nodiscard]] bool overwrites() const noexcept;
  // What a commit of this, and of an inode's changed attributes, needs of the reserve.
  [[nodiscard]] store::CommitKind commit_kind() const noexcept;
  void edit(ExtentWindow& window) const;
  void stage(store::Transaction& transaction);

 private:
  struct Target {
    std::uint64_t file_block = 0;
    BlockRun run;
    enum class Kind : std::uint8_t { fresh, unwritten, overwritten } kind = Kind::fresh;
  };

  [[nodiscard]] Status complete_partial_blocks(const ExtentWindow& window, std::uint64_t data_end);
  [[nodiscard]] Status read_old_block(const ExtentWindow& window, std::uint64_t block, blockio::AlignedBuffer& buffer,
                                      bool& found);
  [[nodiscard]] bool has_target(Target::Kind kind) const noexcept;
  [[nodiscard]] bool stays_in_place(const MappedExtent& extent) const noexcept;
  // Small copied writes need not wait for the device; false when this is none.
  [[nodiscard]] Result<bool> gather(const ExtentWindow& window);
  [[nodiscard]] Status choose_targets(const ExtentWindow& window);
  [[nodiscard]] Status allocate(const ExtentWindow& window, std::uint64_t first, std::uint64_t end);
  [[nodiscard]] std::span<const format::le32> checksums_of(const Target& target) const noexcept;

  VolumeState& volume_;
  blockio::IoQueue& io_;
  Inode& inode_;
  const store::CommitKind kind_;
  const InPlace in_place_;
  const bool no_copy_on_write_;
  BlockSource source_;
  // Most writes are of one run of blocks.
  static constexpr std::size_t kFewTargets = 2;

  BlockSource::Checksums checksums_;                  // of the source's blocks, unless no_copy_on_write_
  absl::InlinedVector<Target, kFewTargets> targets_;  // ascending
  absl::InlinedVector<store::Allocation, kFewTargets> allocations_;
  bool gathered_ = false;  // the store has the data
  bool extends_ = false;   // the file
};

}  // namespace ashlar::volume
