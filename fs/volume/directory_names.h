// Names in directories: finding them, and the changes of one transaction to them.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/format/items.h"
#include "fs/store/store.h"
#include "fs/volume/volume_state.h"

namespace ashlar::volume {

struct NamedInode {
  InodeNumber inode;
  std::uint8_t type = 0;  // DT_*
};

// name_too_long, invalid_argument, or not_found for the empty name.
[[nodiscard]] Status check_name(std::string_view name);
[[nodiscard]] bool is_dot_or_dot_dot(std::string_view name) noexcept;
// DT_* of a mode.
[[nodiscard]] std::uint8_t entry_type(std::uint32_t mode) noexcept;

[[nodiscard]] Result<std::optional<NamedInode>> find_name(VolumeState& volume, blockio::IoQueue& io,
                                                          InodeNumber directory, std::string_view name);
// Whether the directory holds no name at all, whatever its item says.
[[nodiscard]] Result<bool> has_no_names(VolumeState& volume, blockio::IoQueue& io, InodeNumber directory);

// Edits names in memory and puts the items that result. The directories' locks are held exclusively from the first edit
// to the commit.
class NameChanges {
 public:
  NameChanges(VolumeState& volume, blockio::IoQueue& io) noexcept : volume_(volume), io_(io) {}

  // already_exists; no_space when too many names share one hash.
  [[nodiscard]] Status add(InodeNumber directory, std::string_view name, const NamedInode& what);
  [[nodiscard]] Status remove(InodeNumber directory, std::string_view name);                           // not_found
  [[nodiscard]] Status replace(InodeNumber directory, std::string_view name, const NamedInode& what);  // not_found

  void stage(store::Transaction& transaction) const;

 private:
  struct EditedItem {
    format::Key key;
    store::ItemValue value;  // empty: no item
    bool existed = false;
  };
  // Where an entry lies in an item's value.
  struct Place {
    std::size_t offset = 0;
    std::size_t size = 0;
  };

  [[nodiscard]] Result<EditedItem*> item_of(InodeNumber directory, std::string_view name);
  [[nodiscard]] static Result<std::optional<Place>> find_place(const EditedItem& item, std::string_view name);

  VolumeState& volume_;
  blockio::IoQueue& io_;
  std::vector<EditedItem> items_;  // at most one for each name of an operation
};

}  // namespace ashlar::volume
