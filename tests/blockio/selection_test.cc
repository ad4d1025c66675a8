// Which engine a queue gets, with which flags, and why.
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <functional>

#include "blockio/buffer_pool.h"
#include "blockio/file_device.h"
#include "tests/blockio/rig.h"
#include "tests/blockio/seccomp.h"

namespace ashlar::blockio::testing {
namespace {

using ashlar::testing::in_child;
using ashlar::testing::refuse;
using ::testing::Test;

class Selection : public Test {
 protected:
  Selection() {
    scratch.make_file("image", kDeviceSize);
    Result<std::unique_ptr<FileDevice>> opened = open_device(scratch.file("image"), {});
    if (opened) {
      device = *std::move(opened);
    } else {
      ADD_FAILURE() << opened.error().message();
    }
  }

  static QueueConfig with(EngineChoice engine) {
    QueueConfig config;
    config.engine = engine;
    return config;
  }

  // Opens a queue and reads and writes through it; its selection.
  EngineSelection use(const QueueConfig& config) {
    const Result<std::unique_ptr<IoQueue>> queue = device->open_queue(config);
    if (!queue) {
      ADD_FAILURE() << queue.error().message();
      return {};
    }
    AlignedBuffer data = pattern(8192, 1);
    AlignedBuffer back(8192);
    IoOp write = IoOp::write(4096, data.span());
    IoOp read = IoOp::read(4096, back.span());
    EXPECT_TRUE((*queue)->run(write));
    EXPECT_TRUE((*queue)->run(read)) << describe(read.error());
    EXPECT_TRUE(same(data.span(), back.span()));
    return (*queue)->selection();
  }

  ashlar::testing::Scratch scratch;
  std::unique_ptr<FileDevice> device;
};

TEST_F(Selection, AutomaticTakesIoUringWhereItWorks) {
  const Result<EngineSelection> selection = device->select_engine({});
  ASSERT_TRUE(selection);
  EXPECT_EQ(selection->engine, EngineChoice::io_uring);
  EXPECT_EQ(selection->reason, "a trial read succeeded");
  EXPECT_EQ(selection->flags, "defer_taskrun,single_issuer,coop_taskrun,registered_file");
  EXPECT_EQ(use({}).flags, selection->flags);
}

TEST_F(Selection, AnExplicitChoiceIsKept) {
  EXPECT_EQ(use(with(EngineChoice::aio)).engine, EngineChoice::aio);
  EXPECT_EQ(use(with(EngineChoice::io_uring)).engine, EngineChoice::io_uring);
  EXPECT_EQ(device->select_engine(with(EngineChoice::aio))->reason, "as asked for");
}

// As container runtimes do.
TEST_F(Selection, WithoutIoUringAutomaticTakesAioAndSaysWhy) {
  for (const unsigned error : {unsigned{EPERM}, unsigned{ENOSYS}}) {
    const std::string complaint = in_child([&]() -> std::string {
      if (!refuse(SYS_io_uring_setup, error)) return "no filter";
      const Result<EngineSelection> selection = device->select_engine({});
      if (!selection) return selection.error().message();
      if (selection->engine != EngineChoice::aio) return "not aio";
      if (!contains(selection->reason, "io_uring cannot be used: io_uring_setup: ")) return selection->reason;
      if (!contains(selection->reason, "seccomp")) return selection->reason;
      if (contains(selection->reason, "\n")) return "more than a line";
      const EngineSelection used = use({});
      return used.engine == EngineChoice::aio && used.reason == selection->reason ? "" : "the queue has another";
    });
    EXPECT_EQ(complaint, "") << error;
  }
}

TEST_F(Selection, WithoutIoUringAskingForItIsAnErrorThatSaysWhy) {
  const std::string complaint = in_child([&]() -> std::string {
    if (!refuse(SYS_io_uring_setup, EPERM)) return "no filter";
    const Result<EngineSelection> selection = device->select_engine(with(EngineChoice::io_uring));
    if (selection) return "it was had";
    std::string message = selection.error().message();
    if (selection.error().code() != ErrorCode::not_permitted) return message;
    if (!contains(message, "kernel.io_uring_disabled") || !contains(message, "io_engine=auto")) return message;
    return device->open_queue(with(EngineChoice::io_uring)) ? "the queue was had" : "";
  });
  EXPECT_EQ(complaint, "");
}

// A ring that is set up and then refuses to work must not be chosen.
TEST_F(Selection, NeitherEngineIsAnError) {
  const std::string complaint = in_child([&]() -> std::string {
    if (!refuse(SYS_io_uring_setup, EPERM) || !refuse(SYS_io_setup, ENOSYS)) return "no filter";
    const Result<EngineSelection> selection = device->select_engine({});
    if (selection) return "it was had";
    return contains(selection.error().message(), "AIO cannot be used") ? "" : selection.error().message();
  });
  EXPECT_EQ(complaint, "");
}

TEST_F(Selection, AioWithItsRequestsUsedUpSaysSo) {
  const std::string complaint = in_child([&]() -> std::string {
    if (!refuse(SYS_io_setup, EAGAIN)) return "no filter";
    const Result<std::unique_ptr<IoQueue>> queue = device->open_queue(with(EngineChoice::aio));
    if (queue) return "it was had";
    return contains(queue.error().message(), "fs.aio-max-nr") ? "" : queue.error().message();
  });
  EXPECT_EQ(complaint, "");
}

// The kernel counts the requests of all processes; these take all that is left but a few, for a moment.
TEST_F(Selection, AioTakesASmallerDepthRatherThanNone) {
  QueueConfig config = with(EngineChoice::aio);
  config.depth = kMaxQueueDepth;
  std::vector<std::unique_ptr<IoQueue>> queues;
  bool smaller = false;
  for (int i = 0; i < 64 && !smaller; ++i) {
    Result<std::unique_ptr<IoQueue>> queue = device->open_queue(config);
    if (!queue) {
      EXPECT_TRUE(contains(queue.error().message(), "fs.aio-max-nr")) << queue.error().message();
      break;
    }
    const EngineSelection& selection = (*queue)->selection();
    smaller = selection.depth < config.depth;
    if (smaller) {
      EXPECT_TRUE(contains(selection.dropped, "depth 4096 (fs.aio-nr ")) << selection.dropped;
      AlignedBuffer data(4096);
      IoOp read = IoOp::read(0, data.span());
      EXPECT_TRUE((*queue)->run(read));
    }
    queues.push_back(*std::move(queue));
  }
  EXPECT_TRUE(smaller);
}

TEST_F(Selection, DescriptorsUsedUp) {
  // With descriptors all of it goes well. (And UBSan, which wants some for the first object of a class, has met them
  // all.)
  QueueConfig wakeable = with(EngineChoice::aio);
  wakeable.wakeable = true;
  for (const QueueConfig& config : {with(EngineChoice::io_uring), wakeable, with(EngineChoice::aio)}) {
    const Result<std::unique_ptr<IoQueue>> queue = device->open_queue(config);
    ASSERT_TRUE(queue) << queue.error().message();
    IoOp zero = IoOp::write_zeroes(0, 4096);
    ASSERT_TRUE((*queue)->run(zero));
  }
  const std::string complaint = in_child([&]() -> std::string {
    const rlimit none{0, 0};
    if (setrlimit(RLIMIT_NOFILE, &none) != 0) return "no limit";
    const Result<std::unique_ptr<IoQueue>> ring = device->open_queue(with(EngineChoice::io_uring));
    if (ring) return "a ring without a descriptor";
    if (!contains(ring.error().message(), "RLIMIT_NOFILE")) return ring.error().message();
    const Result<EngineSelection> selection = device->select_engine({});
    if (!selection || selection->engine != EngineChoice::aio) return "no fallback";
    if (device->open_queue(wakeable)) return "a waker without a descriptor";
    // Discards need a helper, and hearing from it a descriptor: here the owner's thread does without either.
    const Result<std::unique_ptr<IoQueue>> queue = device->open_queue(with(EngineChoice::aio));
    if (!queue) return queue.error().message();
    IoOp zero = IoOp::write_zeroes(0, 4096);
    return (*queue)->run(zero) ? "" : "zeroing failed";
  });
  EXPECT_EQ(complaint, "");
}

struct FlagsCase {
  const char* name;
  std::function<void(QueueConfig&)> change;
  const char* flags;
};

TEST_F(Selection, OptionsBecomeFlags) {
  const std::vector<FlagsCase> cases = {
      {"no defer", [](QueueConfig& c) { c.defer_taskrun = false; }, "single_issuer,coop_taskrun,registered_file"},
      {"no single issuer", [](QueueConfig& c) { c.single_issuer = false; }, "coop_taskrun,registered_file"},
      {"no file", [](QueueConfig& c) { c.register_file = false; }, "defer_taskrun,single_issuer,coop_taskrun"},
      {"plain",
       [](QueueConfig& c) { c.single_issuer = c.coop_taskrun = c.register_file = c.clamp = c.start_disabled = false; },
       "none"},
      {"thread",
       [](QueueConfig& c) {
         c.submission_thread = Wish::required;
         c.submission_idle = std::chrono::milliseconds(20);
         c.submission_cpu = 0;
       },
       "single_issuer,submission_thread,registered_file"},
      {"completions", [](QueueConfig& c) { c.completion_entries = 4096; },
       "defer_taskrun,single_issuer,coop_taskrun,registered_file"},
  };
  for (const FlagsCase& one : cases) {
    SCOPED_TRACE(one.name);
    QueueConfig config = with(EngineChoice::io_uring);
    one.change(config);
    const EngineSelection selection = use(config);
    EXPECT_EQ(selection.flags, one.flags);
    EXPECT_EQ(selection.dropped, "");
  }
}

TEST_F(Selection, WorkersAreShared) {
  const auto first = device->open_queue(with(EngineChoice::io_uring));
  ASSERT_TRUE(first);
  QueueConfig config = with(EngineChoice::io_uring);
  config.share_workers_with = first->get();
  EXPECT_TRUE(contains(use(config).flags, "shared_workers"));
}

// What a processor that is not there is told with EINVAL; the rest of the wish stays.
TEST_F(Selection, ARefusedFlagIsDroppedAndTold) {
  QueueConfig config = with(EngineChoice::io_uring);
  config.submission_thread = Wish::if_possible;
  config.submission_cpu = 100000;
  const EngineSelection selection = use(config);
  EXPECT_TRUE(contains(selection.dropped, "submission_cpu")) << selection.dropped;
  EXPECT_TRUE(contains(selection.dropped, "Invalid argument")) << selection.dropped;
}

TEST_F(Selection, AFileIsNotPolled) {
  QueueConfig config = with(EngineChoice::io_uring);
  config.poll_device = Wish::if_possible;
  const EngineSelection selection = use(config);
  EXPECT_FALSE(contains(selection.flags, "poll_device")) << selection.flags;
  EXPECT_EQ(selection.dropped, "poll_device (only a block device has queues to poll)");
  config.poll_device = Wish::required;
  const Result<std::unique_ptr<IoQueue>> queue = device->open_queue(config);
  ASSERT_FALSE(queue);
  EXPECT_TRUE(contains(queue.error().message(), "io_uring cannot be used")) << queue.error().message();
}

TEST_F(Selection, BuffersAreRegistered) {
  const auto pool = BufferPool::create(4096, 16);
  ASSERT_TRUE(pool);
  QueueConfig config = with(EngineChoice::io_uring);
  config.buffers = pool->get();
  const auto queue = device->open_queue(config);
  ASSERT_TRUE(queue);
  EXPECT_TRUE(contains((*queue)->selection().flags, "registered_buffers"));
  PooledBuffer in = (*pool)->take();
  PooledBuffer out = (*pool)->take();
  const AlignedBuffer data = pattern(4096, 9);
  std::copy_n(data.data(), 4096, out.span().data());
  IoOp write = IoOp::write(0, out.span());
  IoOp read = IoOp::read(0, in.span());
  ASSERT_TRUE((*queue)->run(write));
  ASSERT_TRUE((*queue)->run(read));
  EXPECT_TRUE(same(in.span(), data.span()));
  AlignedBuffer other(4096);
  read = IoOp::read(0, other.span());
  EXPECT_TRUE((*queue)->run(read)) << "other memory may be used too";
}

TEST_F(Selection, BuffersThatMayNotBePinnedAreUsedAsTheyAre) {
  const std::string complaint = in_child([&]() -> std::string {
    if (!refuse(SYS_io_uring_register, ENOMEM)) return "no filter";
    const auto pool = BufferPool::create(4096, 16);
    QueueConfig config = with(EngineChoice::io_uring);
    config.buffers = pool->get();
    config.start_disabled = false;  // enabling is a registration too
    const EngineSelection selection = use(config);
    if (contains(selection.flags, "registered")) return selection.flags;
    const bool told =
        contains(selection.dropped, "registered_buffers (") && contains(selection.dropped, "registered_file (");
    return told ? "" : selection.dropped;
  });
  EXPECT_EQ(complaint, "");
}

class Growing : public OnEveryDevice {};

// Queues that were open before reach what a device has gained once somebody has asked.
TEST_P(Growing, AQueueReachesWhatIsGained) {
  const auto queue = rig.queue();
  BlockDevice& device = rig.device();
  EXPECT_EQ(*device.measure(), kDeviceSize);
  AlignedBuffer data = pattern(kBlock, 1);
  IoOp write = IoOp::write(kDeviceSize, data.span());
  ASSERT_FALSE(queue->run(write));
  EXPECT_EQ(write.error(), ErrorCode::beyond_device);
  ASSERT_TRUE(device.extend(kDeviceSize));
  EXPECT_EQ(device.geometry().size, kDeviceSize);

  ASSERT_TRUE(device.extend(2 * kDeviceSize));
  EXPECT_EQ(device.geometry().size, 2 * kDeviceSize);
  EXPECT_EQ(*device.measure(), 2 * kDeviceSize);
  write = IoOp::write(kDeviceSize, data.span());
  ASSERT_TRUE(queue->run(write));
  AlignedBuffer back(kBlock);
  IoOp read = IoOp::read(kDeviceSize, back.span());
  ASSERT_TRUE(rig.queue()->run(read));
  EXPECT_TRUE(same(back.span(), data.span()));
  IoOp last = IoOp::read(2 * kDeviceSize - kBlock, back.span());
  ASSERT_TRUE(queue->run(last));
  EXPECT_TRUE(std::all_of(back.span().begin(), back.span().end(), [](std::byte byte) { return byte == std::byte{0}; }));
  IoOp beyond = IoOp::read(2 * kDeviceSize, back.span());
  ASSERT_FALSE(queue->run(beyond));
  EXPECT_EQ(beyond.error(), ErrorCode::beyond_device);
}

INSTANTIATE_TEST_SUITE_P(Devices, Growing, every_subject(), subject_name);

class GrowingFile : public OnEveryDevice {};

TEST_P(GrowingFile, SomebodyElseMakesItLonger) {
  const auto queue = rig.queue();
  std::filesystem::resize_file(rig.image(), 2 * kDeviceSize + 1);
  EXPECT_EQ(rig.device().geometry().size, kDeviceSize) << "nobody has asked";
  EXPECT_EQ(*rig.device().measure(), 2 * kDeviceSize);
  EXPECT_EQ(rig.device().geometry().size, 2 * kDeviceSize);
  std::filesystem::resize_file(rig.image(), kDeviceSize);
  EXPECT_EQ(*rig.device().measure(), kDeviceSize);
  EXPECT_EQ(rig.device().geometry().size, 2 * kDeviceSize) << "it never becomes less";
  EXPECT_FALSE(rig.device().extend(~0ULL << 12));
}

INSTANTIATE_TEST_SUITE_P(Devices, GrowingFile, real_subjects(), subject_name);

TEST(GrowingWindow, AnOffsetCountsAndASizeIsALimit) {
  ashlar::testing::Scratch scratch;
  const std::string path = scratch.make_file("image", kDeviceSize);
  DeviceOptions options;
  options.window_offset = 1U << 20;
  {
    const auto device = open_device(path, options);
    ASSERT_TRUE(device);
    ASSERT_TRUE((*device)->extend(kDeviceSize));
    EXPECT_EQ(std::filesystem::file_size(path), kDeviceSize + (1U << 20));
    EXPECT_EQ((*device)->geometry().size, kDeviceSize);
  }
  options.window_size = kDeviceSize;
  const auto device = open_device(path, options);
  ASSERT_TRUE(device);
  EXPECT_EQ((*device)->extend(2 * kDeviceSize).error().code(), ErrorCode::device_too_small);
  EXPECT_EQ(std::filesystem::file_size(path), kDeviceSize + (1U << 20));
}

TEST(GrowingLimit, BeyondTheProcessLimitIsAnError) {
  ashlar::testing::Scratch scratch;
  const auto device = open_device(scratch.make_file("image", kDeviceSize), {});
  ASSERT_TRUE(device);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit lower = before;
  lower.rlim_cur = kDeviceSize + 4096;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &lower), 0);
  const Status refused = (*device)->extend(2 * kDeviceSize);
  EXPECT_TRUE((*device)->extend(kDeviceSize + 4096));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::file_too_large);
}

class Shrinking : public OnEveryDevice {};

TEST_P(Shrinking, AFileThatShrankIsAShortTransfer) {
  const auto queue = rig.queue();
  auto& device = dynamic_cast<FileDevice&>(rig.device());
  ASSERT_EQ(*device.current_size(), kDeviceSize);
  std::filesystem::resize_file(rig.image(), kDeviceSize / 2);
  EXPECT_EQ(*device.current_size(), kDeviceSize / 2);
  EXPECT_EQ(device.geometry().size, kDeviceSize);
  AlignedBuffer data(8192);
  IoOp beyond = IoOp::read(kDeviceSize / 2, data.span());
  ASSERT_FALSE(queue->run(beyond));
  EXPECT_EQ(beyond.error(), ErrorCode::short_transfer);
  IoOp across = IoOp::read(kDeviceSize / 2 - 4096, data.span());
  ASSERT_FALSE(queue->run(across));
  EXPECT_EQ(across.error(), ErrorCode::short_transfer);
  IoOp inside = IoOp::read(0, data.span());
  EXPECT_TRUE(queue->run(inside));
}

INSTANTIATE_TEST_SUITE_P(Devices, Shrinking, real_subjects(), subject_name);

class Window : public ::testing::TestWithParam<Subject> {};

TEST_P(Window, NothingOutsideIsTouched) {
  constexpr std::uint64_t kOffset = 1U << 20;
  Rig rig(GetParam(), {.read_only = false, .window_offset = kOffset});
  const auto queue = rig.queue();
  AlignedBuffer data = pattern(4096, 3);
  std::vector<IoOp> ops{IoOp::write(0, data.span()), IoOp::write(kDeviceSize - 4096, data.span()),
                        IoOp::write_zeroes(8192, 4096)};
  ASSERT_TRUE(queue->run(pointers_to(ops)));
  IoOp beyond = IoOp::write(kDeviceSize, data.span());
  EXPECT_FALSE(queue->run(beyond));
  const std::string contents = ashlar::testing::contents_of(rig.image());
  ASSERT_EQ(contents.size(), kOffset + kDeviceSize);
  EXPECT_EQ(contents.find_first_not_of('\0'), kOffset);
  EXPECT_TRUE(same(std::as_bytes(std::span(contents)).subspan(kOffset, 4096), data.span()));
}

INSTANTIATE_TEST_SUITE_P(Devices, Window, real_subjects(), subject_name);

TEST_F(Selection, AWindowFitsOrIsAnError) {
  struct Case {
    std::uint64_t offset;
    std::uint64_t size;
    const char* problem;  // null: it fits, and has `left` bytes
    std::uint64_t left;
  };
  constexpr std::uint64_t kMost = ~std::uint64_t{511};
  const std::vector<Case> cases = {
      {100, 0, "not a multiple of the", 0},
      {kDeviceSize + 4096, 0, "reach past its end", 0},
      {kMost, 0, "reach past its end", 0},
      {4096, kDeviceSize, "reach past its end", 0},
      {4096, kMost, "reach past its end", 0},
      {kDeviceSize, 0, nullptr, 0},
      {4096, 0, nullptr, kDeviceSize - 4096},
      {8192, 10000, nullptr, 10000 / device->geometry().logical_sector * device->geometry().logical_sector},
  };
  for (const Case& one : cases) {
    DeviceOptions options;
    options.exclusive = false;
    options.window_offset = one.offset;
    options.window_size = one.size;
    const Result<std::unique_ptr<FileDevice>> opened = open_device(scratch.file("image"), options);
    if (one.problem == nullptr) {
      ASSERT_TRUE(opened) << one.offset << ": " << opened.error().message();
      EXPECT_EQ((*opened)->geometry().size, one.left);
      EXPECT_EQ(*(*opened)->current_size(), one.left);
    } else {
      ASSERT_FALSE(opened) << one.offset << " " << one.size;
      EXPECT_EQ(opened.error().code(), ErrorCode::invalid_argument);
      EXPECT_TRUE(contains(opened.error().message(), one.problem)) << opened.error().message();
    }
  }
}

}  // namespace
}  // namespace ashlar::blockio::testing
