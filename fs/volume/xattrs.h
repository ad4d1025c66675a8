// Extended attributes: what other operations need of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "fs/volume/volume_state.h"

namespace ashlar::volume {

// Removes security.capability, if there is one, as every change of contents or owner demands. The inode is locked
// exclusively.
[[nodiscard]] Status drop_capabilities(VolumeState& volume, blockio::IoQueue& io, StagedInode& staged,
                                       store::Transaction& transaction);

// The value, if there is one. The inode is locked.
[[nodiscard]] Result<std::optional<std::string>> read_xattr(VolumeState& volume, blockio::IoQueue& io,
                                                            InodeNumber number, std::string_view name);

// Ids for an inode's values that lie apart. One for all that a transaction sets on the inode: the store does not know
// yet which ids that transaction has taken.
class UnusedValueIds {
 public:
  UnusedValueIds(VolumeState& volume, blockio::IoQueue& io, InodeNumber inode) noexcept
      : volume_(volume), io_(io), inode_(inode) {}

  // no_space when there is none left.
  [[nodiscard]] Result<std::uint64_t> take();

 private:
  VolumeState& volume_;
  blockio::IoQueue& io_;
  const InodeNumber inode_;
  std::optional<std::uint64_t> next_;  // once the store was asked
};

struct StagedXattr {
  std::string_view name;
  std::span<const std::byte> value;
};
// Sets it, whether there was one or not, and counts it in `item`. The inode is locked exclusively or being made. Of one
// name, a transaction sets or removes it once.
[[nodiscard]] Status stage_xattr(VolumeState& volume, blockio::IoQueue& io, InodeNumber number, format::InodeItem& item,
                                 const StagedXattr& xattr, UnusedValueIds& ids, store::Transaction& transaction);

}  // namespace ashlar::volume
