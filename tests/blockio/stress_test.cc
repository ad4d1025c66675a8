// Random work on every kind of queue, against a model of the device's contents; also run under TSan.
#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <thread>

#include "tests/blockio/rig.h"

namespace ashlar::blockio::testing {
namespace {

constexpr std::size_t kSector = 512;

// One thread, its queue, and its own part of the device, so that what is read can be predicted.
class Client {
 public:
  Client(Rig& rig, std::uint64_t first, std::uint64_t size, std::uint64_t seed)
      : rig_(rig), first_(first), random_(seed), model_(size) {}

  void run(int rounds) {
    auto queue = open();
    for (int round = 0; round < rounds && !::testing::Test::HasFailure(); ++round) {
      batch(*queue);
      if (random_() % 16 == 0) queue = open();
    }
  }

 private:
  struct Request {
    IoOp op;
    AlignedBuffer memory;
    std::vector<iovec> segments;
    std::uint64_t at = 0;  // in the model
    int completions = 0;
  };

  std::unique_ptr<IoQueue> open() {
    QueueConfig config;
    config.depth = 1 + static_cast<std::uint32_t>(random_() % 32);
    return rig_.queue(config);
  }

  // Operations of a batch do not overlap: nothing orders them.
  void batch(IoQueue& queue) {
    std::vector<Request> requests(1 + random_() % 40);
    std::vector<IoOp*> pointers;
    const std::uint64_t share = model_.size() / requests.size() / kSector * kSector;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      prepare(requests[i], i * share, share);
      requests[i].op.context = &requests[i];
      requests[i].op.complete = [](IoOp& op) noexcept { ++static_cast<Request*>(op.context)->completions; };
      pointers.push_back(&requests[i].op);
    }
    std::shuffle(pointers.begin(), pointers.end(), random_);
    const std::size_t half = pointers.size() / 2;
    queue.submit(std::span(pointers).first(half));
    if (random_() % 2 == 0) queue.wait(random_() % 4, std::chrono::microseconds(random_() % 200));
    queue.submit(std::span(pointers).subspan(half));
    queue.drain();
    for (Request& request : requests) check(request);
  }

  void prepare(Request& request, std::uint64_t begin, std::uint64_t share) {
    const std::uint64_t sectors = share / kSector;
    const std::uint64_t skip = random_() % sectors;
    const std::uint64_t length = (1 + random_() % std::min<std::uint64_t>(sectors - skip, 512)) * kSector;
    request.at = begin + skip * kSector;
    request.memory = AlignedBuffer(length);
    const std::uint64_t offset = first_ + request.at;
    switch (random_() % 8) {
      case 0: request.op = IoOp::flush(); return;
      case 1: request.op = IoOp::write_zeroes(offset, length); return;
      case 2:
      case 3: request.op = IoOp::read(offset, request.memory.span()); return;
      default: break;
    }
    request.memory = pattern(length, random_());
    if (random_() % 4 == 0) {
      request.op = IoOp::write_durable(offset, request.memory.span());
      return;
    }
    const std::size_t head = (random_() % (length / kSector)) * kSector;
    if (head != 0) request.segments.push_back({request.memory.data(), head});
    request.segments.push_back({request.memory.data() + head, length - head});
    request.op = IoOp::writev(offset, request.segments);
  }

  void check(Request& request) {
    const IoOp& op = request.op;
    EXPECT_EQ(request.completions, 1);
    ASSERT_TRUE(op.done() && op.ok()) << describe(op.error());
    const auto place = std::span(model_).subspan(request.at, op.length);
    if (op.kind == OpKind::read) {
      EXPECT_TRUE(same(request.memory.span(), place));
    } else if (op.kind == OpKind::write_zeroes) {
      std::fill(place.begin(), place.end(), std::byte{0});
    } else if (op.kind != OpKind::flush) {
      std::copy_n(request.memory.data(), op.length, place.begin());
    }
  }

  Rig& rig_;
  std::uint64_t first_;
  std::mt19937_64 random_;
  std::vector<std::byte> model_;
};

class Stress : public OnEveryDevice {};

TEST_P(Stress, ThreadsWithQueuesOfTheirOwn) {
  constexpr std::size_t kThreads = 3;
  constexpr std::uint64_t kShare = kDeviceSize / 4;
  const char* const rounds = std::getenv("ASHLAR_STRESS_ROUNDS");
  std::array<std::thread, kThreads> threads;
  for (std::size_t i = 0; i < kThreads; ++i) {
    threads[i] = std::thread([&, i] { Client(rig, i * kShare, kShare, i + 1).run(rounds ? std::atoi(rounds) : 40); });
  }
  for (std::thread& thread : threads) thread.join();
}

INSTANTIATE_TEST_SUITE_P(Devices, Stress, every_subject(), subject_name);

}  // namespace
}  // namespace ashlar::blockio::testing
