// How many bytes of log an operation takes.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "fs/store/log/log_reader.h"
#include "fs/store/superblock_io.h"
#include "tests/volume/rig.h"

namespace ashlar::volume {
namespace {

using testing::Rig;

// The sizes of the records that `change` leaves in the log.
std::vector<std::size_t> records_of(Rig& rig, const std::function<void()>& change) {
  EXPECT_TRUE(rig.volume().sync_all(rig.context()));
  rig.remount();  // what came before is in a checkpoint
  change();
  EXPECT_TRUE(rig.volume().sync_all(rig.context()));
  rig.crash();
  std::vector<std::size_t> sizes;
  const auto io = rig.new_queue();
  const auto superblock = store::read_superblock(rig.device().geometry(), *io, false);
  EXPECT_TRUE(superblock);
  if (!superblock) return sizes;
  const auto end = store::read_log(*io, *superblock, [&sizes](Lsn, std::span<const std::byte> record) -> Status {
    sizes.push_back(record.size());
    return {};
  });
  EXPECT_TRUE(end);
  rig.mount();
  return sizes;
}

TEST(LogVolumeTest, MakingAFileTakesLessThan300Bytes) {
  constexpr int kFiles = 50;
  Rig rig;
  rig.mount();
  // Nothing that is other than zero on a volume in use is zero here.
  rig.context().uid = rig.context().gid = 1000;
  rig.context().now = {1'800'000'000, 123'456'789};
  const InodeNumber directory = rig.make_directory(kRootInode, "directory");
  const std::vector<std::size_t> sizes = records_of(rig, [&] {
    for (int i = 0; i < kFiles; ++i) rig.make_file(directory, "a name of usual length " + std::to_string(i));
  });
  ASSERT_EQ(sizes.size(), kFiles);
  EXPECT_LT(*std::ranges::max_element(sizes), 300U);
}

}  // namespace
}  // namespace ashlar::volume
