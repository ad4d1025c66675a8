// Real block devices: loop devices, whole, as partitions, and gone. Needs root.
#include <fcntl.h>
#include <fmt/core.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>

#include "blockio/file_device.h"
#include "tests/blockio/rig.h"

namespace ashlar::blockio::testing {
namespace {

// A loop device over a file; detached by detach() or at the end.
class LoopDevice {
 public:
  LoopDevice(const std::string& image, std::uint32_t sector) {
    const int control = ::open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    const int backing = ::open(image.c_str(), O_RDWR | O_CLOEXEC);
    // Another process may take the free one first.
    for (int attempt = 0; attempt < 20 && path_.empty() && control >= 0 && backing >= 0; ++attempt) {
      const int number = ioctl(control, LOOP_CTL_GET_FREE);
      const std::string path = fmt::format("/dev/loop{}", number);
      const int descriptor = number < 0 ? -1 : ::open(path.c_str(), O_RDWR | O_CLOEXEC);
      loop_config config{};
      config.fd = static_cast<unsigned>(backing);
      config.block_size = sector;
      config.info.lo_flags = LO_FLAGS_DIRECT_IO;
      if (descriptor >= 0 && ioctl(descriptor, LOOP_CONFIGURE, &config) == 0) {
        path_ = path;
        descriptor_ = descriptor;
      } else if (descriptor >= 0) {
        ::close(descriptor);
      }
    }
    if (path_.empty()) problem_ = std::strerror(errno);
    ::close(backing);
    ::close(control);
  }
  ~LoopDevice() { detach(); }
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;

  // While somebody else has it open the kernel detaches it when they close it.
  void detach() {
    if (descriptor_ < 0) return;
    EXPECT_EQ(ioctl(descriptor_, LOOP_CLR_FD), 0) << std::strerror(errno);
    ::close(descriptor_);
    descriptor_ = -1;
  }
  // Takes in the new size of the file.
  void resize() { EXPECT_EQ(ioctl(descriptor_, LOOP_SET_CAPACITY), 0) << std::strerror(errno); }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  std::string path_;
  std::string problem_;
  int descriptor_ = -1;
};

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

TEST_P(OnLoop, ItsClaimKeepsOthersAway) {
  const Result<std::unique_ptr<FileDevice>> second = open_device(loop.path(), {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), ErrorCode::busy);
}

TEST_P(OnLoop, GrowthIsSeen) {
  std::filesystem::resize_file(image, 2 * kDeviceSize);
  loop.resize();
  EXPECT_EQ(*device->current_size(), 2 * kDeviceSize);
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
  const std::string path = loop.path();
  {
    const auto queue = open_queue();
    loop.detach();
    AlignedBuffer data = pattern(8192, 2);
    IoOp write = IoOp::write(0, data.span());
    EXPECT_TRUE(queue->run(write));
  }
  device.reset();
  // The kernel lets go in its own time; an unused ring's hold on the device takes longest.
  const std::string backing = "/sys/block" + path.substr(std::strlen("/dev")) + "/loop/backing_file";
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

}  // namespace
}  // namespace ashlar::blockio::testing
