// Items that a repair found in leaves to which no node leads: where they are, and their values when they are needed.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "blockio/aligned_buffer.h"
#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/format/key.h"
#include "fs/format/superblock.h"
#include "fsck/lost_keys.h"

namespace ashlar::fsck {

// Of the items behind one key those with the lowest keys, so many that memory stays within bounds.
class SalvageWindow {
 public:
  struct Place {
    BlockNumber leaf;
    std::uint32_t index = 0;  // of the item in it
  };
  using Items = std::map<format::Key, Place>;

  explicit SalvageWindow(std::size_t most, std::optional<format::Key> behind = std::nullopt)
      : most_(most), behind_(behind) {}

  // Takes a leaf's items whose keys are in `lost`, as far as no leaf before had them; so newer leaves come before older
  // ones. Whether it has such items, in the window or not.
  bool take(BlockNumber place, std::span<const std::byte> leaf, const LostKeys& lost);

  [[nodiscard]] const Items& items() const noexcept { return items_; }
  // Whether there are more behind it.
  [[nodiscard]] bool has_more() const noexcept { return has_more_; }
  [[nodiscard]] std::size_t most() const noexcept { return most_; }

 private:
  std::size_t most_;
  std::optional<format::Key> behind_;
  Items items_;
  bool has_more_ = false;
};

// All of them: those of the first window, and where to find the rest.
struct SalvagedItems {
  SalvageWindow first{1};
  std::vector<BlockNumber> leaves;  // that have items in `lost`, the newest first
  LostKeys lost;
};

// Goes through them in key order. Neighbours tend to lie in the same leaf, a few of which are kept.
class SalvageCursor {
 public:
  SalvageCursor(blockio::IoQueue& io, const format::Superblock& superblock, std::shared_ptr<const SalvagedItems> items);

  // The key of the next item; null behind the last.
  [[nodiscard]] const format::Key* next() const noexcept { return at_ == end_ ? nullptr : &at_->first; }
  // Of that item, valid until the next call. corrupt_structure when the leaf is not any more what it was.
  [[nodiscard]] Result<std::span<const std::byte>> value();
  [[nodiscard]] Status skip();

 private:
  static constexpr std::size_t kLeaves = 8;

  struct Leaf {
    BlockNumber place;
    blockio::AlignedBuffer bytes;  // empty: not in use yet
  };

  [[nodiscard]] Status read_window(const format::Key& behind);
  [[nodiscard]] Result<std::span<const std::byte>> leaf_at(BlockNumber place);

  blockio::IoQueue& io_;
  const format::Superblock superblock_;
  const std::shared_ptr<const SalvagedItems> all_;
  std::optional<SalvageWindow> later_;  // none: in the first window
  SalvageWindow::Items::const_iterator at_;
  SalvageWindow::Items::const_iterator end_;
  std::array<Leaf, kLeaves> leaves_;
  std::size_t next_ = 0;  // to be replaced
};

}  // namespace ashlar::fsck
