// Looks at the items of all inodes, one after the other in key order.
#pragma once

#include <map>
#include <optional>

#include "fsck/context.h"
#include "fsck/data_check.h"

namespace ashlar::fsck {

class ItemChecker {
 public:
  explicit ItemChecker(CheckContext& context) : context_(context) {
    if (context.options.data) data_.emplace(context);
  }

  // Keys ascend from call to call.
  [[nodiscard]] Status take(const format::Key& key, std::span<const std::byte> value);
  // After the last.
  void finish();

 private:
  // An xattr's value that lies apart, by its id.
  struct ApartValue {
    std::uint64_t missing = 0;  // bytes still to come
    std::uint64_t next_part = 0;
  };

  void begin_inode(const format::Key& key, std::span<const std::byte> value);
  void end_inode();
  void check_sizes();
  void check_lost();
  void take_content(const format::Key& key, std::span<const std::byte> value);
  [[nodiscard]] Status take_extent(const format::Key& key, std::span<const std::byte> value);
  void take_dirents(const format::Key& key, std::span<const std::byte> value);
  void take_xattrs(const format::Key& key, std::span<const std::byte> value);
  void take_xattr_part(const format::Key& key, std::span<const std::byte> value);
  void take_orphan(const format::Key& key, std::span<const std::byte> value);
  void check_end(const format::Extent& extent);
  // What has lost its last name is being taken apart: its counts are right, its contents need not be whole.
  [[nodiscard]] bool is_being_removed() const { return inode_ && inode_->links == 0; }
  [[nodiscard]] bool is_listed_orphan() const;
  void malformed(const format::Key& key);

  CheckContext& context_;
  std::optional<format::InodeItem> inode_;  // whose items come now
  std::uint64_t number_ = 0;
  std::optional<std::uint64_t> missing_number_;  // of the inode without a sound item that was reported last
  std::uint64_t extent_end_ = 0;                 // file block after the last extent
  std::uint64_t extent_blocks_ = 0;
  std::uint64_t found_entries_ = 0;  // of a directory
  std::uint64_t content_bytes_ = 0;  // of inline data or a symlink
  bool has_content_item_ = false;
  std::uint32_t xattrs_ = 0;
  std::map<std::uint64_t, ApartValue> apart_;
  std::optional<DataCheck> data_;  // when contents are read
};

[[nodiscard]] std::string_view name_of(format::ItemKind kind) noexcept;

}  // namespace ashlar::fsck
