// Random work on every kind of queue, cancelled, timed out and shut down at random, against a model of the device's
// contents; also run under TSan. ASHLAR_STRESS_ROUNDS and ASHLAR_STRESS_SEED for more and others.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <random>
#include <thread>

#include "tests/blockio/event.h"
#include "tests/blockio/rig.h"

namespace ashlar::blockio::testing {
namespace {

constexpr std::size_t kSector = 512;

// One thread, its queue, and its own part of the device, so that what is read can be predicted.
class Client {
 public:
  Client(Rig& rig, std::uint64_t first, std::uint64_t size, std::uint64_t seed)
      : rig_(rig), first_(first), random_(seed), model_(size), known_(size / kSector, true) {}

  void run(int rounds) {
    open();
    for (int round = 0; round < rounds && queue_ && !::testing::Test::HasFailure(); ++round) batch();
    queue_.reset();
  }

 private:
  struct Request {
    IoOp op;
    AlignedBuffer memory;
    std::vector<iovec> segments;
    std::uint64_t at = 0;  // in the model
    int completions = 0;
    bool may_stop = false;   // it has a deadline or was cancelled
    Waker* waker = nullptr;  // of its queue, which may be about to end
    std::atomic<int> worked{0};
  };

  bool one_in(unsigned count) { return random_() % count == 0; }

  void open() {
    QueueConfig config;
    config.depth = 1 + static_cast<std::uint32_t>(random_() % 32);
    config.wakeable = one_in(2);
    config.send_early = one_in(2);
    config.merge = !one_in(4);
    queue_ = rig_.queue(config);
  }

  // Operations of a batch do not overlap: nothing orders them.
  void batch() {
    std::vector<Request> requests(1 + random_() % 40);
    std::vector<IoOp*> pointers;
    const std::uint64_t share = model_.size() / requests.size() / kSector * kSector;
    std::size_t watches = 0;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      Request& request = requests[i];
      prepare(request, i * share, share);
      // A queue full of watches that nothing ends takes nothing more.
      if (request.op.kind == OpKind::watch && (++watches >= queue_->selection().depth)) request.op = IoOp::flush();
      request.waker = queue_->waker();
      request.op.context = &request;
      request.op.complete = [](IoOp& op) noexcept { ++static_cast<Request*>(op.context)->completions; };
      if (request.op.kind != OpKind::watch && one_in(8)) {
        request.op.deadline = std::chrono::microseconds(1 + random_() % 500);
        request.may_stop = true;
      }
      pointers.push_back(&request.op);
    }
    std::shuffle(pointers.begin(), pointers.end(), random_);
    const std::size_t half = pointers.size() / 2;
    queue_->submit(std::span(pointers).first(half));
    if (one_in(2)) queue_->wait(random_() % 4, std::chrono::microseconds(random_() % 200));
    if (one_in(3)) cancel_some(std::span(pointers).first(half));
    queue_->submit(std::span(pointers).subspan(half));
    if (one_in(3)) cancel_some(pointers);
    finish(pointers);
    for (Request& request : requests) check(request);
  }

  void cancel(IoOp& op) {
    if (op.done()) return;
    static_cast<Request*>(op.context)->may_stop = true;
    queue_->cancel(op);
  }
  void cancel_some(std::span<IoOp* const> ops) {
    for (IoOp* op : ops) {
      if (one_in(4)) cancel(*op);
    }
  }

  // Until all have completed: by waiting, draining, or closing the queue with them in flight.
  void finish(std::span<IoOp* const> ops) {
    if (one_in(8)) return open();
    if (one_in(2)) return queue_->drain();
    for (IoOp* op : ops) {
      if (op->kind == OpKind::watch) cancel(*op);
      while (!op->done()) queue_->wait(1 + random_() % 8, std::chrono::microseconds(random_() % 1000));
    }
  }

  void prepare(Request& request, std::uint64_t begin, std::uint64_t share) {
    const std::uint64_t sectors = share / kSector;
    const std::uint64_t skip = random_() % sectors;
    const std::uint64_t length = (1 + random_() % std::min<std::uint64_t>(sectors - skip, 512)) * kSector;
    request.at = begin + skip * kSector;
    request.memory = AlignedBuffer(length);
    const std::uint64_t offset = first_ + request.at;
    switch (random_() % 16) {
      case 0: request.op = IoOp::flush(); return;
      case 1: request.op = IoOp::write_zeroes(offset, length); return;
      case 2: request.op = IoOp::discard(offset, length); return;
      case 3: request.op = computation(request); return;
      case 4: request.op = IoOp::watch(one_in(2) ? ready_.descriptor() : never_.descriptor()); return;
      case 5:
      case 6:
      case 7:
      case 8: request.op = IoOp::read(offset, request.memory.span()); return;
      default: break;
    }
    request.memory = pattern(length, random_());
    if (one_in(4)) {
      request.op = IoOp::write_durable(offset, request.memory.span());
      return;
    }
    const std::size_t head = (random_() % (length / kSector)) * kSector;
    if (head != 0) request.segments.push_back({request.memory.data(), head});
    request.segments.push_back({request.memory.data() + head, length - head});
    request.op = IoOp::writev(offset, request.segments);
  }

  // Calls the waker from another thread in the midst of things.
  static IoOp computation(Request& request) {
    return IoOp::compute(
        [](IoOp& self) noexcept {
          auto& mine = *static_cast<Request*>(self.context);
          if (mine.waker != nullptr) mine.waker->wake();
          ++mine.worked;
        },
        &request);
  }

  void check(Request& request) {
    const IoOp& op = request.op;
    EXPECT_EQ(request.completions, 1);
    ASSERT_TRUE(op.done());
    const bool stopped = !op.ok() && (op.error() == ErrorCode::cancelled || op.error() == ErrorCode::timed_out);
    ASSERT_TRUE(op.ok() || (stopped && (request.may_stop || op.kind == OpKind::watch)))
        << name_of(op.kind) << ": " << describe(op.error());
    if (op.kind == OpKind::compute) {
      EXPECT_EQ(request.worked.load(), op.ok() ? 1 : 0);
    }
    if (op.kind == OpKind::watch) {
      EXPECT_TRUE(stopped || op.descriptor == ready_.descriptor());
    }
    if (op.length == 0 || (op.kind == OpKind::read && stopped)) return;
    const auto place = std::span(model_).subspan(request.at, op.length);
    if (op.kind == OpKind::read) return check_read(request);
    const bool certain = op.ok() && op.kind != OpKind::discard;
    std::fill_n(known_.begin() + static_cast<std::ptrdiff_t>(request.at / kSector), op.length / kSector, certain);
    if (!certain) return;
    if (op.kind == OpKind::write_zeroes) {
      std::fill(place.begin(), place.end(), std::byte{0});
    } else {
      std::copy_n(request.memory.data(), op.length, place.begin());
    }
  }

  void check_read(const Request& request) const {
    for (std::uint64_t done = 0; done < request.op.length; done += kSector) {
      if (!known_[(request.at + done) / kSector]) continue;
      ASSERT_TRUE(
          same(request.memory.span().subspan(done, kSector), std::span(model_).subspan(request.at + done, kSector)))
          << "at " << first_ + request.at + done;
    }
  }

  Rig& rig_;
  std::uint64_t first_;
  std::mt19937_64 random_;
  std::vector<std::byte> model_;
  std::vector<bool> known_;  // sectors whose contents are the model's: not discarded, nor written by halves
  Event ready_{1};
  Event never_{0};
  std::unique_ptr<IoQueue> queue_;
};

class Stress : public OnEveryDevice {};

TEST_P(Stress, ThreadsWithQueuesOfTheirOwn) {
  constexpr std::size_t kThreads = 3;
  constexpr std::uint64_t kShare = kDeviceSize / 4;
  const char* const rounds = std::getenv("ASHLAR_STRESS_ROUNDS");
  const char* const seed = std::getenv("ASHLAR_STRESS_SEED");
  const std::uint64_t first_seed = seed != nullptr ? std::strtoull(seed, nullptr, 10) : 1;
  std::array<std::thread, kThreads> threads;
  for (std::size_t i = 0; i < kThreads; ++i) {
    threads[i] = std::thread(
        [&, i] { Client(rig, i * kShare, kShare, first_seed + i).run(rounds != nullptr ? std::atoi(rounds) : 40); });
  }
  for (std::thread& thread : threads) thread.join();
}

INSTANTIATE_TEST_SUITE_P(Devices, Stress, every_subject(), subject_name);

}  // namespace
}  // namespace ashlar::blockio::testing
