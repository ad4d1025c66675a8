// Kernels that refuse some calls and allow others: the choice of an engine, and what is in flight.
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>

#include "blockio/file_device.h"
#include "tests/blockio/event.h"
#include "tests/blockio/rig.h"
#include "tests/blockio/seccomp.h"

namespace ashlar::blockio::testing {
namespace {

using namespace std::chrono_literals;
using ashlar::testing::CallArgument;
using ashlar::testing::in_child;
using ashlar::testing::refuse;

class RefusedCalls : public ::testing::Test {
 protected:
  // A device that no engine was tried on.
  std::unique_ptr<FileDevice> fresh_device() {
    DeviceOptions options;
    options.exclusive = false;
    Result<std::unique_ptr<FileDevice>> opened = open_device(image, options);
    if (!opened) ADD_FAILURE() << opened.error().message();
    return opened ? *std::move(opened) : nullptr;
  }
  static QueueConfig with(EngineChoice engine) {
    QueueConfig config;
    config.engine = engine;
    return config;
  }

  // In a child: what is wrong with the choice where io_uring is refused with `why`.
  static std::string complaint_about(FileDevice& device, std::string_view why) {
    const Result<EngineSelection> selection = device.select_engine({});
    if (!selection) return selection.error().message();
    if (selection->engine != EngineChoice::aio) return "not aio";
    if (!contains(selection->reason, "io_uring cannot be used: ")) return selection->reason;
    if (!contains(selection->reason, why)) return selection->reason;
    if (contains(selection->reason, "\n")) return "more than a line";
    const Result<std::unique_ptr<IoQueue>> queue = device.open_queue({});
    if (!queue) return queue.error().message();
    AlignedBuffer data(4096);
    IoOp read = IoOp::read(0, data.span());
    if (!(*queue)->run(read)) return "the read failed";
    const Result<std::unique_ptr<IoQueue>> asked = device.open_queue(with(EngineChoice::io_uring));
    if (asked) return "io_uring was had";
    return contains(asked.error().message(), why) ? "" : asked.error().message();
  }

  ashlar::testing::Scratch scratch;
  std::string image = scratch.make_file("image", kDeviceSize);
};

TEST_F(RefusedCalls, ARingThatMayNotBeEnabledIsNotChosen) {
  const std::string complaint = in_child([&]() -> std::string {
    const auto device = fresh_device();
    if (!refuse(SYS_io_uring_register, EPERM)) return "no filter";
    return complaint_about(*device, "io_uring_register: Operation not permitted");
  });
  EXPECT_EQ(complaint, "");
}

TEST_F(RefusedCalls, ARingThatMayNotBeEnteredIsNotChosen) {
  for (const bool disabled : {true, false}) {
    const std::string complaint = in_child([&]() -> std::string {
      const auto device = fresh_device();
      if (!refuse(SYS_io_uring_enter, EPERM)) return "no filter";
      QueueConfig config;
      config.start_disabled = disabled;
      if (const auto other = device->select_engine(config); !other || other->engine != EngineChoice::aio)
        return "chosen";
      return complaint_about(*device, "io_uring_enter: Operation not permitted");
    });
    EXPECT_EQ(complaint, "") << disabled;
  }
}

// The kernel is short of something and stays so: the trial ends.
TEST_F(RefusedCalls, ATrialThatIsPutOffForEverEnds) {
  for (const long call : {SYS_io_uring_register, SYS_io_uring_enter}) {
    const std::string complaint = in_child([&]() -> std::string {
      const auto device = fresh_device();
      if (!refuse(call, EAGAIN)) return "no filter";
      const Result<EngineSelection> selection = device->select_engine({});
      if (!selection) return selection.error().message();
      return contains(selection->reason, "a trial read did not end") ? "" : selection->reason;
    });
    EXPECT_EQ(complaint, "") << call;
  }
  const std::string complaint = in_child([&]() -> std::string {
    const auto device = fresh_device();
    if (!refuse(SYS_io_submit, EAGAIN)) return "no filter";
    const Result<EngineSelection> selection = device->select_engine(with(EngineChoice::aio));
    if (selection) return "it was had";
    return contains(selection.error().message(), "did not take a trial read") ? "" : selection.error().message();
  });
  EXPECT_EQ(complaint, "");
}

TEST_F(RefusedCalls, AioWhoseOutcomesMayNotBeReadIsAnError) {
  const std::string complaint = in_child([&]() -> std::string {
    const auto device = fresh_device();
    if (!refuse(SYS_io_getevents, EPERM)) return "no filter";
    const Result<EngineSelection> selection = device->select_engine(with(EngineChoice::aio));
    if (selection) return "it was had";
    return contains(selection.error().message(), "io_getevents: Operation not permitted") ? ""
                                                                                          : selection.error().message();
  });
  EXPECT_EQ(complaint, "");
}

// The kernel takes submissions only from waits, so that the ring is full when the second cancellation is asked for.
TEST_F(RefusedCalls, CancellationsWaitForRoom) {
  const std::string complaint = in_child([&]() -> std::string {
    const auto device = fresh_device();
    QueueConfig config = with(EngineChoice::io_uring);
    config.depth = 3;
    const Result<std::unique_ptr<IoQueue>> queue = device->open_queue(config);
    if (!queue) return queue.error().message();
    const Event never(0);
    std::array<IoOp, 3> ops;
    ops.fill(IoOp::watch(never.descriptor()));
    AlignedBuffer data(4096);
    IoOp read = IoOp::read(0, data.span());
    if (!(*queue)->run(read)) return "the read failed";
    constexpr CallArgument kSubmitsOnly{3, 0};  // its flags
    if (!refuse(SYS_io_uring_enter, EBUSY, kSubmitsOnly)) return "no filter";
    for (IoOp& op : ops) {
      IoOp* const pointer = &op;
      (*queue)->submit(std::span(&pointer, 1));
    }
    (*queue)->drain();
    for (const IoOp& op : ops) {
      if (!op.done() || op.error() != ErrorCode::cancelled) return "not cancelled";
    }
    return "";
  });
  EXPECT_EQ(complaint, "");
}

TEST_F(RefusedCalls, WhatIsRequiredIsNotGivenUpForAio) {
  const auto device = fresh_device();
  for (Wish QueueConfig::*const wish : {&QueueConfig::poll_device, &QueueConfig::submission_thread}) {
    const std::string name = wish == &QueueConfig::poll_device ? "poll_device" : "submission_thread";
    QueueConfig config = with(EngineChoice::aio);
    config.*wish = Wish::required;
    for (const bool opens : {false, true}) {
      const Status status = opens ? Status(device->open_queue(config).map([](auto&&) {}))
                                  : Status(device->select_engine(config).map([](auto&&) {}));
      ASSERT_FALSE(status) << name;
      EXPECT_EQ(status.error().code(), ErrorCode::not_supported);
      EXPECT_TRUE(contains(status.error().message(), "AIO has no " + name + ", which is required"))
          << status.error().message();
    }
    config.*wish = Wish::if_possible;
    const Result<std::unique_ptr<IoQueue>> queue = device->open_queue(config);
    ASSERT_TRUE(queue);
    EXPECT_EQ((*queue)->selection().dropped, name + " (AIO has none)");
    EXPECT_EQ(device->select_engine(config)->dropped, name + " (AIO has none)");
  }
  const std::string complaint = in_child([&]() -> std::string {
    if (!refuse(SYS_io_uring_setup, EPERM)) return "no filter";
    QueueConfig config;
    config.submission_thread = Wish::required;
    const Result<EngineSelection> selection = device->select_engine(config);
    if (selection) return "it was had";
    const std::string message = selection.error().message();
    const bool told = contains(message, "io_uring_setup: ") && contains(message, "AIO has no submission_thread");
    return told && !device->open_queue(config) ? "" : message;
  });
  EXPECT_EQ(complaint, "");
}

// A file has no queues to poll, so automatic has nothing to fall back to.
TEST_F(RefusedCalls, AutomaticDoesNotGiveUpPolling) {
  QueueConfig config;
  config.poll_device = Wish::required;
  const Result<std::unique_ptr<IoQueue>> queue = fresh_device()->open_queue(config);
  ASSERT_FALSE(queue);
  EXPECT_TRUE(contains(queue.error().message(), "only a block device has queues to poll")) << queue.error().message();
}

// What /proc tells of a ring.
std::uint64_t ring_figure(int descriptor, const std::string& name) {
  std::ifstream file("/proc/self/fdinfo/" + std::to_string(descriptor));
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(name + ":")) return std::stoull(line.substr(name.size() + 1), nullptr, 0);
  }
  return 0;
}

TEST_F(RefusedCalls, ARingHasRoomForEveryCompletion) {
  const auto device = fresh_device();
  for (const std::uint32_t depth : {1U, 64U}) {
    QueueConfig config = with(EngineChoice::io_uring);
    config.depth = depth;
    const auto queue = device->open_queue(config);
    ASSERT_TRUE(queue);
    const std::uint64_t mask = ring_figure((*queue)->ring_descriptor(), "CqMask");
    EXPECT_GE(mask + 1, 2 * (depth + 1)) << "operations, the watch on the waker, and a cancellation of each";
  }
}

std::size_t rings_mapped() {
  std::ifstream maps("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);) {
    if (contains(line, "[io_uring]")) ++count;
  }
  return count;
}

TEST_F(RefusedCalls, AChildDoesNotInheritARing) {
  const auto device = fresh_device();
  const auto queue = device->open_queue(with(EngineChoice::io_uring));
  ASSERT_TRUE(queue);
  ASSERT_GT(rings_mapped(), 0U);
  EXPECT_EQ(in_child([]() -> std::string { return rings_mapped() == 0 ? "" : "it does"; }), "");
}

}  // namespace
}  // namespace ashlar::blockio::testing
