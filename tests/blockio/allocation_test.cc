// Once warm, an operation allocates nothing.
#include <atomic>
#include <cstdlib>
#include <new>

#include "tests/blockio/event.h"
#include "tests/blockio/rig.h"

namespace {

std::atomic<std::uint64_t> allocations{0};

}  // namespace

// Every allocation of this program passes here.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  void* const memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t /*size*/) noexcept { std::free(memory); }

namespace ashlar::blockio::testing {
namespace {

constexpr std::size_t kCount = 32;

class Allocation : public OnEveryDevice {};

TEST_P(Allocation, NoneAnOperation) {
  const auto queue = rig.queue();
  const Event ready(1);
  const Event never(0);
  int computed = 0;
  AlignedBuffer data(2 * kCount * kBlock);
  std::vector<std::vector<iovec>> segments(kCount);
  std::vector<IoOp> ops;
  for (std::size_t i = 0; i < kCount; ++i) {
    const auto memory = data.span().subspan(2 * i * kBlock, 2 * kBlock);
    // Half of them neighbours; some vectored; all kinds.
    const std::uint64_t offset = (i < kCount / 2 ? i : 2 * i) * 2 * kBlock;
    segments[i] = {{memory.data() + kBlock, kBlock}, {memory.data(), kBlock}};
    switch (i % 4) {
      case 0: ops.push_back(IoOp::writev(offset, segments[i])); break;
      case 1: ops.push_back(IoOp::write(offset, memory)); break;
      case 2: ops.push_back(IoOp::write_durable(offset, memory)); break;
      default: ops.push_back(IoOp::read(offset, memory)); break;
    }
  }
  ops.push_back(IoOp::flush());
  ops.push_back(IoOp::write_zeroes(0, kBlock));
  ops.push_back(IoOp::discard(kBlock, kBlock));
  ops.push_back(IoOp::compute([](IoOp& op) noexcept { ++*static_cast<int*>(op.context); }, &computed));
  // Ready at once; never, and ended by a deadline; never, and cancelled.
  ops.push_back(IoOp::watch(ready.descriptor()));
  ops.push_back(IoOp::watch(never.descriptor()));
  ops.back().deadline = std::chrono::microseconds(100);
  IoOp cancelled = IoOp::watch(never.descriptor());
  const std::vector<IoOp*> pointers = pointers_to(ops);
  const auto round = [&] {
    IoOp* const pointer = &cancelled;
    queue->submit(std::span(&pointer, 1));
    EXPECT_FALSE(queue->run(pointers)) << "a watch times out";
    queue->cancel(cancelled);
    while (!cancelled.done()) queue->wait(1);
    queue->submit(pointers);
    queue->drain();
  };
  round();
  round();
  const std::uint64_t before = allocations.load();
  for (int i = 0; i < 5; ++i) round();
  EXPECT_EQ(allocations.load() - before, 0U);
  for (const IoOp& op : ops) {
    const bool timed = op.kind == OpKind::watch && op.descriptor == never.descriptor();
    EXPECT_EQ(op.ok(), !timed) << name_of(op.kind);
  }
  EXPECT_EQ(cancelled.error(), ErrorCode::cancelled);
  EXPECT_EQ(computed, 14);
}

INSTANTIATE_TEST_SUITE_P(Devices, Allocation, real_subjects(), subject_name);

}  // namespace
}  // namespace ashlar::blockio::testing
