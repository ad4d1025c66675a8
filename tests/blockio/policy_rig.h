// A queue over an engine that does what a test tells it.
#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "blockio/device_queue.h"
#include "tests/blockio/rig.h"
#include "tests/blockio/scripted_engine.h"

namespace ashlar::blockio::testing {

inline constexpr std::uint64_t kSize = 8U << 20;

class Policy : public ::testing::Test {
 protected:
  Policy() {
    geometry.size = kSize;
    geometry.durable_write_flushes = true;
    reopen(8);
  }

  void reopen(DeviceQueueSetup setup) {
    queue.reset();
    auto scripted = std::make_unique<ScriptedEngine>(kSize);
    engine = scripted.get();
    queue = std::make_unique<DeviceQueue>(std::move(scripted), geometry, std::move(setup));
  }
  void reopen(std::uint32_t depth, bool merge = true, bool send_early = false) {
    DeviceQueueSetup setup;
    setup.selection.depth = depth;
    setup.merge = merge;
    setup.send_early = send_early;
    reopen(std::move(setup));
  }

  void submit(IoOp& op) {
    IoOp* const pointer = &op;
    queue->submit(std::span(&pointer, 1));
  }

  // Answers each transfer with the next of these, and then wholly.
  void answer(std::vector<Verdict> verdicts) {
    engine->script = [verdicts = std::move(verdicts), next = std::size_t{0}](const Transfer&) mutable {
      return next < verdicts.size() ? verdicts[next++] : Verdict{};
    };
  }

  void expect_contents(std::uint64_t offset, std::span<const std::byte> expected) {
    AlignedBuffer back(expected.size());
    engine->image.read(offset, back.span());
    EXPECT_TRUE(same(back.span(), expected));
  }

  Geometry geometry;
  ScriptedEngine* engine = nullptr;
  std::unique_ptr<IoQueue> queue;
};

[[nodiscard]] constexpr Verdict bytes(std::int64_t count) { return {Verdict::Way::bytes, count}; }
[[nodiscard]] constexpr Verdict error(std::int64_t number) { return {Verdict::Way::error, number}; }
inline constexpr Verdict kHang{Verdict::Way::hang, 0};

}  // namespace ashlar::blockio::testing
