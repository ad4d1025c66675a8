// The fsck.ashlarfs program run on the image of a volume that is damaged first.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "tests/fsck/damaged_volume.h"
#include "tests/fsck/save_image.h"
#include "tests/mkfs/command.h"
#include "tests/mkfs/scratch.h"

namespace ashlar::fsck::testing {

inline ashlar::testing::CommandResult fsck(const std::string& arguments) {
  return ashlar::testing::run_command(ASHLAR_FSCK " " + arguments);
}

class Tool : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(scratch.ready()); }

  // The volume as an image file.
  std::string save(const std::string& name = "volume.img") {
    return save_image(scratch, name, volume.device().snapshot());
  }
  void damage_one_copy() {
    volume.edit_image(
        [](ImageEditor& image) { image.damage_block(image.pointer_to(image.leaves().front()).address[1]); });
  }
  void mark_errors() {
    volume.edit_image([](ImageEditor& image) {
      format::note_failure(image.superblock, 1, "log write\x1b failed");
      image.write_superblock();
    });
  }
  void erase_superblocks() {
    volume.edit_image([](ImageEditor& image) {
      const std::vector<std::byte> zeros(format::kSuperblockSize);
      for (std::size_t i = 0; i < format::kSuperblockSlots * format::kCopies; ++i)
        image.write_at(format::superblock_offset(i / format::kCopies, i % format::kCopies), zeros);
    });
  }
  void contradict() {
    volume.edit_items(
        [&](ItemEditor& items) { items.edit_inode(volume.file, [](format::InodeItem& item) { item.links = 7; }); });
  }

  ashlar::testing::Scratch scratch;
  DamagedVolume volume;
};

}  // namespace ashlar::fsck::testing
