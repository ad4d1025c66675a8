// Which blocks of a volume are in use, as of its last checkpoint: from the group table and the bitmaps.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "fs/ctl/volume_reader.h"
#include "fs/format/layout.h"

namespace ashlar::ctl {

class SpaceReader {
 public:
  // `reader` outlives it.
  SpaceReader(const VolumeReader& reader, const format::Superblock& superblock)
      : reader_(reader),
        superblock_(superblock),
        layout_(format::Layout::of(superblock)),
        bitmap_(layout_.block_size()) {}

  [[nodiscard]] const format::Layout& layout() const noexcept { return layout_; }

  // The group's bitmap, from the first of its copies that is good; valid until the next call. bad_checksum and such
  // when none is, which is damage, or a daemon that went on while this was reading.
  [[nodiscard]] Result<std::span<const std::byte>> read_group(std::uint32_t group);

 private:
  [[nodiscard]] Result<format::GroupEntry> read_entry(std::uint32_t group);
  [[nodiscard]] Status read_table_block(std::uint32_t index);

  const VolumeReader& reader_;
  const format::Superblock superblock_;
  const format::Layout layout_;
  std::optional<std::uint32_t> table_index_;  // of the block of the group table that was read last
  std::vector<format::GroupEntry> table_block_;
  std::vector<std::byte> bitmap_;
};

}  // namespace ashlar::ctl
