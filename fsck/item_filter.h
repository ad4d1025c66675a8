// Lets pass the items that can be kept, in key order, and drops the others. It runs over the same items several times:
// first to learn what there is, then, where the inodes and names are too many to be remembered at once, for more of
// those, and last, with the plan made of all that, to hand on what stays.
#pragma once

#include <map>
#include <optional>

#include "fsck/repair_plan.h"
#include "fsck/tree_walk.h"

namespace ashlar::fsck {

class ItemFilter {
 public:
  enum class Task : std::uint8_t {
    learn,       // fills the plan; inodes, names and orphans go into `records`
    learn_more,  // only the inodes, but for directories, and the names that the window of `records` holds
    hand_on,     // to the sink, what the plan keeps, changed as it says
  };

  // What is read is `context`'s, of which `records` may be the same. The references outlive it.
  ItemFilter(const CheckContext& context, CheckContext& records, RepairPlan& plan, Task task,
             ItemVisitor sink = nullptr);

  // Keys ascend from call to call.
  [[nodiscard]] Status take(const format::Key& key, std::span<const std::byte> value);
  // After the last.
  [[nodiscard]] Status finish();

  // The blocks of the extents that stay.
  [[nodiscard]] BlockMap& kept_blocks() noexcept { return kept_; }

 private:
  struct ApartValue {
    std::uint64_t missing = 0;
    std::uint64_t next_part = 0;
  };

  [[nodiscard]] bool learning() const noexcept { return task_ != Task::hand_on; }
  [[nodiscard]] Status hand_on(const format::Key& key, std::span<const std::byte> value);
  // What is left of an item that holds several things; nothing of it when they are all gone.
  [[nodiscard]] Status hand_on_rest(const format::Key& key, std::span<const std::byte> value,
                                    std::span<const std::byte> rest);
  [[nodiscard]] Status take_orphan(const format::Key& key, std::span<const std::byte> value);
  [[nodiscard]] Status ensure_root(const format::Key& key, std::span<const std::byte> value);
  [[nodiscard]] Status begin_inode(const format::Key& key, const format::InodeItem& item);
  void end_inode();
  void learn_inode();                      // all of it has been seen
  void note_losses(std::uint32_t xattrs);  // `xattrs`: those that stay
  [[nodiscard]] Status take_of_inode(const format::Key& key, std::span<const std::byte> value);
  [[nodiscard]] Status take_dirents(const format::Key& key, std::span<const std::byte> value);
  [[nodiscard]] bool keep_name(const format::Dirent& entry, std::uint8_t& type);
  [[nodiscard]] Status take_xattrs(const format::Key& key, std::span<const std::byte> value);
  [[nodiscard]] Status take_xattr_part(const format::Key& key, std::span<const std::byte> value);
  [[nodiscard]] Status take_extent(const format::Key& key, std::span<const std::byte> value);
  [[nodiscard]] Status take_content(const format::Key& key, std::span<const std::byte> value);

  const CheckContext& context_;
  CheckContext& records_;
  RepairPlan& plan_;
  const Task task_;
  const ItemVisitor sink_;
  const std::size_t longest_value_;
  BlockMap kept_;
  bool root_seen_ = false;
  std::uint64_t taken_ = 0;  // items
  std::uint64_t handed_on_ = 0;

  std::optional<format::InodeItem> inode_;  // whose items come now
  std::uint64_t number_ = 0;
  bool is_truncated_ = false;      // its extents past the end wait to be removed
  std::uint64_t extent_end_ = 0;   // file block after the last extent
  std::uint64_t size_needed_ = 0;  // bytes, for what was written
  std::uint64_t extent_blocks_ = 0;
  std::optional<std::uint64_t> content_bytes_;
  bool has_dropped_extent_ = false;
  std::uint32_t xattrs_ = 0;
  std::map<std::uint64_t, ApartValue> apart_;
};

}  // namespace ashlar::fsck
