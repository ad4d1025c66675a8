// Real block devices: loop devices, whole, as partitions, and gone. Needs root.
#include <fmt/core.h>
#include <linux/blkpg.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "blockio/file_device.h"
#include "tests/blockio/loop_device.h"
#include "tests/blockio/rig.h"

namespace ashlar::blockio::testing {
namespace {

struct LoopCase {
  EngineChoice engine;
  std::uint32_t sector;
};

class OnLoop : public ::testing::TestWithParam<LoopCase> {
 protected:
  void SetUp() override {
    if (loop.path().empty()) ASHLAR_SKIP("no loop device: " << loop.problem());
    Result<std::unique_ptr<FileDevice>> opened = open_device(loop.path(), {});
    ASSERT_TRUE(opened) << opened.error().message();
    device = *std::move(opened);
  }

  std::unique_ptr<IoQueue> open_queue() {
    QueueConfig config;
    config.engine = GetParam().engine;
    Result<std::unique_ptr<IoQueue>> queue = device->open_queue(config);
    if (!queue) ADD_FAILURE() << queue.error().message();
    return queue ? *std::move(queue) : nullptr;
  }

  ashlar::testing::Scratch scratch;
  std::string image = scratch.make_file("image", kDeviceSize);
  LoopDevice loop{image, GetParam().sector};
  std::unique_ptr<FileDevice> device;
};

TEST_P(OnLoop, GeometryIsTheDevices) {
  const Geometry& geometry = device->geometry();
  EXPECT_EQ(geometry.kind, DeviceKind::loop_device);
  EXPECT_EQ(geometry.size, kDeviceSize);
  EXPECT_EQ(geometry.logical_sector, GetParam().sector);
  EXPECT_GE(geometry.physical_sector, geometry.logical_sector);
  EXPECT_GT(geometry.discard_max, 0U);
  EXPECT_GT(geometry.discard_granularity, 0U);
  EXPECT_FALSE(geometry.read_only);
}

TEST_P(OnLoop, EveryOperationWorks) {
  const auto queue = open_queue();
  AlignedBuffer data = pattern(3U << 20, 1);
  AlignedBuffer back(data.size());
  std::vector<IoOp> ops{IoOp::write(0, data.span()), IoOp::write_durable(4U << 20, data.span()),
                        IoOp::discard(8U << 20, 1U << 20), IoOp::write_zeroes(10U << 20, 1U << 20)};
  ASSERT_TRUE(queue->run(pointers_to(ops)));
  IoOp flush = IoOp::flush();
  ASSERT_TRUE(queue->run(flush));
  for (const std::uint64_t offset : {0U, 4U << 20}) {
    IoOp read = IoOp::read(offset, back.span());
    ASSERT_TRUE(queue->run(read));
    EXPECT_TRUE(same(back.span(), data.span()));
  }
  IoOp misaligned = IoOp::read(GetParam().sector / 2, back.span());
  EXPECT_FALSE(queue->run(misaligned));
  EXPECT_EQ(misaligned.error(), ErrorCode::misaligned);
}

// Not zeroed, which a device may not be able to do and still discard. The kernel counts both apart.
TEST_P(OnLoop, DiscardsAreDiscards) {
  const auto discards = [this] {
    std::ifstream file(loop.directory() + "/stat");
    std::uint64_t figure = 0;
    constexpr int kDiscards = 12;  // the field that counts them, from 1
    for (int i = 0; i < kDiscards; ++i) file >> figure;
    return file ? figure : 0;
  };
  const std::uint64_t before = discards();
  const auto queue = open_queue();
  AlignedBuffer data = pattern(1U << 20, 1);
  IoOp write = IoOp::write(0, data.span());
  ASSERT_TRUE(queue->run(write));
  IoOp discard = IoOp::discard(0, 1U << 20);
  ASSERT_TRUE(queue->run(discard));
  EXPECT_GT(discards(), before);
}

TEST_P(OnLoop, ItsLockEndsWithIt) {
  for (int i = 0; i < 20; ++i) {
    {
      const auto queue = open_queue();
      ASSERT_NE(queue, nullptr);
      AlignedBuffer data(4096);
      IoOp read = IoOp::read(0, data.span());
      ASSERT_TRUE(queue->run(read));
    }
    device.reset();
    Result<std::unique_ptr<FileDevice>> again = open_device(loop.path(), {});
    ASSERT_TRUE(again) << "at once, though the ring lets go of the device later: " << again.error().message();
    device = *std::move(again);
  }
}

TEST_P(OnLoop, ItsClaimKeepsOthersAway) {
  const Result<std::unique_ptr<FileDevice>> second = open_device(loop.path(), {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), ErrorCode::busy);
}

TEST_P(OnLoop, ItsFileIsInUse) {
  const auto outcome_of = [](const std::string& path, bool read_only) {
    const Result<std::unique_ptr<FileDevice>> opened = open_device(path, {.read_only = read_only});
    return opened ? std::string("opened") : opened.error().message();
  };
  const LoopDevice second(image, GetParam().sector);
  ASSERT_FALSE(second.path().empty()) << second.problem();
  for (const std::string& path : {image, second.path()}) {
    for (const bool read_only : {false, true})
      EXPECT_NE(outcome_of(path, read_only).find(path + ": in use"), std::string::npos);
  }
  device.reset();
  for (const std::string& path : {image, second.path()}) EXPECT_EQ(outcome_of(path, false), "opened");
}

TEST_P(OnLoop, IsInUseWhenItsFileIs) {
  device.reset();
  for (const bool read_only : {false, true}) {
    const Result<std::unique_ptr<FileDevice>> file = open_device(image, {.read_only = read_only});
    ASSERT_TRUE(file) << file.error().message();
    const Result<std::unique_ptr<FileDevice>> writer = open_device(loop.path(), {});
    ASSERT_FALSE(writer);
    EXPECT_EQ(writer.error().code(), ErrorCode::busy);
  }
}

TEST_P(OnLoop, ReadersShareItsFile) {
  device.reset();
  const DeviceOptions reading{.read_only = true};
  const LoopDevice second(image, GetParam().sector);
  ASSERT_FALSE(second.path().empty()) << second.problem();
  std::vector<std::unique_ptr<FileDevice>> readers;
  for (const std::string& path : {loop.path(), image, second.path()}) {
    Result<std::unique_ptr<FileDevice>> reader = open_device(path, reading);
    ASSERT_TRUE(reader) << reader.error().message();
    readers.push_back(*std::move(reader));
  }
}

// For a fuseblk mount, where the kernel claims the device.
TEST_P(OnLoop, ItsFileIsInUseWithoutTheClaim) {
  device->release_exclusive();
  EXPECT_FALSE(open_device(image, {}));
}

TEST_P(OnLoop, WithoutItsFileItIsUsedAllTheSame) {
  device.reset();
  std::filesystem::remove(image);
  EXPECT_TRUE(open_device(loop.path(), {}));
  const std::string other = scratch.make_file("image", kDeviceSize);
  const Result<std::unique_ptr<FileDevice>> impostor = open_device(other, {});
  ASSERT_TRUE(impostor);
  EXPECT_TRUE(open_device(loop.path(), {})) << "another file has the name now";
}

TEST_P(OnLoop, GrowthIsSeen) {
  std::filesystem::resize_file(image, 2 * kDeviceSize);
  loop.resize();
  EXPECT_EQ(*device->current_size(), 2 * kDeviceSize);
  const auto queue = open_queue();
  AlignedBuffer data(8192);
  IoOp write = IoOp::write(2 * kDeviceSize - data.size(), data.span());
  ASSERT_FALSE(queue->run(write));
  EXPECT_EQ(*device->measure(), 2 * kDeviceSize);
  write = IoOp::write(2 * kDeviceSize - data.size(), data.span());
  EXPECT_TRUE(queue->run(write));
  const Status longer = device->extend(3 * kDeviceSize);
  ASSERT_FALSE(longer);
  EXPECT_EQ(longer.error().code(), ErrorCode::device_too_small);
  EXPECT_EQ(std::filesystem::file_size(image), 2 * kDeviceSize);
}

// The device shrinks away under its queue: errors, no hang, no wrong data.
TEST_P(OnLoop, ADeviceThatIsGoneIsAnError) {
  const auto queue = open_queue();
  AlignedBuffer data(8192);
  IoOp write = IoOp::write(0, data.span());
  ASSERT_TRUE(queue->run(write));
  std::filesystem::resize_file(image, 0);
  loop.resize();
  EXPECT_EQ(*device->current_size(), 0U);
  std::vector<IoOp> ops{IoOp::read(0, data.span()), IoOp::write(1U << 20, data.span()),
                        IoOp::write_durable(2U << 20, data.span())};
  EXPECT_FALSE(queue->run(pointers_to(ops)));
  for (const IoOp& op : ops) {
    EXPECT_TRUE(op.done());
    EXPECT_FALSE(op.ok());
  }
}

TEST_P(OnLoop, DetachingWaitsForTheLastUser) {
  const std::string backing = loop.directory() + "/loop/backing_file";
  {
    const auto queue = open_queue();
    loop.detach();
    AlignedBuffer data = pattern(8192, 2);
    IoOp write = IoOp::write(0, data.span());
    EXPECT_TRUE(queue->run(write));
  }
  device.reset();
  // The kernel lets go in its own time; an unused ring's hold on the device takes longest.
  bool gone = false;
  for (int i = 0; i < 500 && !gone; ++i) {
    gone = !std::filesystem::exists(backing);
    if (!gone) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_TRUE(gone) << "nobody uses it and it is still attached";
}

INSTANTIATE_TEST_SUITE_P(Engines, OnLoop,
                         ::testing::Values(LoopCase{EngineChoice::io_uring, 512},
                                           LoopCase{EngineChoice::io_uring, 4096}, LoopCase{EngineChoice::aio, 512},
                                           LoopCase{EngineChoice::aio, 4096}),
                         [](const auto& one) {
                           return fmt::format("{}_{}", name_of(one.param.engine), one.param.sector);
                         });

// Two partitions that no table on the device describes, with nodes of our own: nothing else reacts to them in time.
class OnPartition : public ::testing::TestWithParam<EngineChoice> {
 protected:
  static constexpr std::uint64_t kStart = 4U << 20;
  static constexpr std::uint64_t kLength = 2U << 20;

  void SetUp() override {
    if (loop.path().empty()) ASHLAR_SKIP("no loop device: " << loop.problem());
    for (const int number : {1, 2}) {
      ASSERT_EQ(change(BLKPG_ADD_PARTITION, number), 0) << std::strerror(errno);
      ASSERT_EQ(::mknod(node(number).c_str(), S_IFBLK | 0600, number_of(number)), 0) << std::strerror(errno);
    }
  }
  void TearDown() override {
    if (loop.path().empty()) return;
    for (const int number : {1, 2}) EXPECT_TRUE(removed(number)) << std::strerror(errno);
  }

  // A ring that was closed lets go of its file only after a while.
  bool removed(int number) {
    constexpr int kTries = 500;
    for (int i = 0; i < kTries; ++i) {
      if (change(BLKPG_DEL_PARTITION, number) == 0) return true;
      if (errno != EBUSY) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return false;
  }

  int change(int operation, int number) {
    blkpg_partition partition{};
    const std::uint64_t start = kStart + static_cast<std::uint64_t>(number - 1) * kLength;
    partition.start = static_cast<long long>(start);
    partition.length = static_cast<long long>(kLength);
    partition.pno = number;
    blkpg_ioctl_arg argument{};
    argument.op = operation;
    argument.datalen = sizeof(partition);
    argument.data = &partition;
    return ioctl(loop.descriptor(), BLKPG, &argument);
  }
  [[nodiscard]] std::string node(int number) const { return scratch.file(fmt::format("partition{}", number)); }
  [[nodiscard]] dev_t number_of(int number) const {
    const std::string name = loop.path().substr(std::strlen("/dev/"));
    std::ifstream file(fmt::format("{}/{}p{}/dev", loop.directory(), name, number));
    unsigned major = 0;
    unsigned minor = 0;
    char colon = 0;
    file >> major >> colon >> minor;
    return makedev(major, minor);
  }

  ashlar::testing::Scratch scratch;
  std::string image = scratch.make_file("image", kDeviceSize);
  LoopDevice loop{image, 512, LO_FLAGS_DIRECT_IO | LO_FLAGS_PARTSCAN};
};

TEST_P(OnPartition, GeometryIsThePartitions) {
  const Result<std::unique_ptr<FileDevice>> whole = open_device(loop.path(), {.exclusive = false});
  ASSERT_TRUE(whole) << whole.error().message();
  const Result<std::unique_ptr<FileDevice>> device = open_device(node(1), {});
  ASSERT_TRUE(device) << device.error().message();
  const Geometry& mine = (*device)->geometry();
  const Geometry& all = (*whole)->geometry();
  EXPECT_EQ(mine.kind, DeviceKind::partition);
  EXPECT_TRUE((*device)->is_block_device());
  EXPECT_EQ(mine.size, kLength);
  EXPECT_EQ(mine.logical_sector, all.logical_sector);
  EXPECT_EQ(mine.physical_sector, all.physical_sector);
  EXPECT_EQ(mine.memory_alignment, all.memory_alignment);
  EXPECT_GT(mine.discard_max, 0U);
  EXPECT_EQ(mine.discard_max, all.discard_max);
  EXPECT_EQ(mine.discard_granularity, all.discard_granularity);
  EXPECT_EQ(mine.write_zeroes_max, all.write_zeroes_max);
  EXPECT_EQ(mine.volatile_write_cache, all.volatile_write_cache);
  EXPECT_EQ(mine.durable_write_flushes, all.durable_write_flushes);
}

TEST_P(OnPartition, OnlyItsPartOfTheFileIsInUse) {
  const Result<std::unique_ptr<FileDevice>> first = open_device(node(1), {});
  ASSERT_TRUE(first) << first.error().message();
  const Result<std::unique_ptr<FileDevice>> second = open_device(node(2), {});
  EXPECT_TRUE(second) << second.error().message();
  const Result<std::unique_ptr<FileDevice>> file = open_device(image, {});
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code(), ErrorCode::busy);
}

TEST_P(OnPartition, NothingOutsideIsTouched) {
  QueueConfig config;
  config.engine = GetParam();
  AlignedBuffer data = pattern(kLength, 1);
  for (const int number : {2, 1}) {
    const Result<std::unique_ptr<FileDevice>> device = open_device(node(number), {});
    ASSERT_TRUE(device) << device.error().message();
    const Result<std::unique_ptr<IoQueue>> queue = (*device)->open_queue(config);
    ASSERT_TRUE(queue) << queue.error().message();
    std::vector<IoOp> ops{IoOp::write(0, data.span())};
    // The second stays whole; the first is emptied again.
    if (number == 1) {
      ops.push_back(IoOp::discard(0, kLength / 2));
      ops.push_back(IoOp::write_zeroes(0, kLength));
    }
    for (IoOp& op : ops) ASSERT_TRUE((*queue)->run(op)) << name_of(op.kind);
    IoOp beyond = IoOp::write(kLength, data.span().first(4096));
    ASSERT_FALSE((*queue)->run(beyond));
    EXPECT_EQ(beyond.error(), ErrorCode::beyond_device);
    IoOp flush = IoOp::flush();
    ASSERT_TRUE((*queue)->run(flush));
  }
  std::string expected(kDeviceSize, '\0');
  std::memcpy(expected.data() + kStart + kLength, data.data(), kLength);
  EXPECT_TRUE(ashlar::testing::contents_of(image) == expected);
}

INSTANTIATE_TEST_SUITE_P(Engines, OnPartition, ::testing::Values(EngineChoice::io_uring, EngineChoice::aio),
                         [](const auto& one) { return std::string(name_of(one.param)); });

}  // namespace
}  // namespace ashlar::blockio::testing
