// One line of figures for `./dev bench blockio`: keeps a queue at its depth for some seconds.
//   bench_blockio PATH io_uring|aio DEPTH BLOCK-BYTES randread|randwrite|read|write SECONDS [VARIANT]
// prints operations a second, microseconds of processor time an operation, and the median and 99th percentile of the
// latency in microseconds. A variant is the configuration with one thing changed; `bench_blockio variants` lists them.
// Writes over whatever PATH holds.
#include <fmt/core.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "blockio/buffer_pool.h"
#include "blockio/file_device.h"

namespace ashlar::blockio {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kArguments = 7;  // without the variant
constexpr std::size_t kOpsAClockReading = 64;

struct Load {
  std::uint64_t block = 4096;
  bool reads = true;
  bool random = true;
  Clock::duration length{};
};

// How much one part of the configuration is worth: the same without it, or with it where it is no default.
struct Variant {
  std::string_view name;
  void (*change)(QueueConfig&);
};
constexpr std::array kVariants = {
    Variant{"defaults", [](QueueConfig&) {}},
    Variant{"no-defer_taskrun", [](QueueConfig& config) { config.defer_taskrun = false; }},
    Variant{"no-single_issuer",
            [](QueueConfig& config) {
              config.single_issuer = false;
              config.defer_taskrun = false;  // which needs it
            }},
    Variant{"no-taskrun-flags",
            [](QueueConfig& config) {
              config.single_issuer = false;
              config.defer_taskrun = false;
              config.coop_taskrun = false;
            }},
    Variant{"no-start_disabled", [](QueueConfig& config) { config.start_disabled = false; }},
    Variant{"no-register_file", [](QueueConfig& config) { config.register_file = false; }},
    Variant{"no-buffers", [](QueueConfig& config) { config.buffers = nullptr; }},
    Variant{"no-send_early", [](QueueConfig& config) { config.send_early = false; }},
    Variant{"merge", [](QueueConfig& config) { config.merge = true; }},
    Variant{"wakeable", [](QueueConfig& config) { config.wakeable = true; }},
    Variant{"submission_thread", [](QueueConfig& config) { config.submission_thread = Wish::required; }},
    Variant{"poll_device", [](QueueConfig& config) { config.poll_device = Wish::required; }},
};

// Every operation, completed, is submitted again elsewhere until the time is up.
class Runner {
 public:
  Runner(IoQueue& queue, const Load& load, std::uint64_t device_size, BufferPool& pool)
      : queue_(queue), load_(load), blocks_(device_size / load.block), ops_(queue.selection().depth) {
    for (IoOp& op : ops_) {
      buffers_.push_back(pool.take());
      const std::span<std::byte> buffer = buffers_.back().span();
      // Memory that nobody has written to is slow to send: the kernel looks up its page of zeros each time.
      std::ranges::generate(buffer, [this] { return static_cast<std::byte>(random_()); });
      op = load_.reads ? IoOp::read(0, buffer) : IoOp::write(0, buffer);
      op.context = this;
      op.complete = [](IoOp& done) noexcept { static_cast<Runner*>(done.context)->again(done); };
    }
  }

  // Operations done, or the first error.
  Result<std::uint64_t> run() {
    std::vector<IoOp*> pointers;
    for (IoOp& op : ops_) {
      op.offset = next_offset();
      pointers.push_back(&op);
    }
    end_ = Clock::now() + load_.length;
    queue_.submit(pointers);
    queue_.drain();
    if (failed_) return fail(error_);
    return done_;
  }

 private:
  std::uint64_t next_offset() {
    const std::uint64_t block = load_.random ? random_() % blocks_ : next_++ % blocks_;
    return block * load_.block;
  }

  void again(IoOp& op) noexcept {
    ++done_;
    if (!op.ok()) {
      failed_ = true;
      error_ = op.error();
    }
    if (done_ % kOpsAClockReading == 0 || load_.block > 65536) over_ = over_ || Clock::now() >= end_;
    if (over_ || failed_) return;
    op.offset = next_offset();
    IoOp* const pointer = &op;
    queue_.submit(std::span(&pointer, 1));
  }

  IoQueue& queue_;
  const Load load_;
  const std::uint64_t blocks_;
  std::vector<IoOp> ops_;
  std::vector<PooledBuffer> buffers_;
  std::minstd_rand random_{1};
  std::uint64_t next_ = 0;
  std::uint64_t done_ = 0;
  Clock::time_point end_;
  bool over_ = false;
  bool failed_ = false;
  ErrorCode error_ = ErrorCode::io_error;
};

double processor_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

Status measure(int count, char** arguments) {
  QueueConfig config;
  config.engine = std::string_view(arguments[2]) == "aio" ? EngineChoice::aio : EngineChoice::io_uring;
  config.depth = static_cast<std::uint32_t>(std::atoi(arguments[3]));
  config.merge = false;
  config.send_early = true;  // as fio does
  const std::string_view name = count > kArguments ? arguments[kArguments] : "";
  const auto variant =
      std::find_if(kVariants.begin(), kVariants.end(), [name](const Variant& one) { return one.name == name; });
  if (variant == kVariants.end() && !name.empty()) {
    return fail(ErrorCode::invalid_argument, fmt::format("no variant {}", name));
  }
  Load load;
  load.block = static_cast<std::uint64_t>(std::atoll(arguments[4]));
  const std::string_view work = arguments[5];
  load.reads = work.ends_with("read");
  load.random = work.starts_with("rand");
  load.length = std::chrono::seconds(std::atoi(arguments[6]));

  const auto device = TRY(open_device(arguments[1], {}));
  const auto pool = TRY(BufferPool::create(load.block, config.depth));
  if (variant != kVariants.end()) {
    config.buffers = pool.get();
    variant->change(config);
  }
  const auto queue = TRY(device->open_queue(config));
  Runner runner(*queue, load, device->geometry().size, *pool);
  const double before = processor_seconds();
  const Clock::time_point began = Clock::now();
  const std::uint64_t done = TRY(runner.run());
  const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
  const LatencyHistogram& latency = queue->statistics().of(load.reads ? OpKind::read : OpKind::write).latency;
  fmt::print("{:.0f} {:.2f} {:.1f} {:.1f}\n", static_cast<double>(done) / seconds,
             (processor_seconds() - before) * 1e6 / static_cast<double>(done),
             static_cast<double>(latency.quantile(0.5).count()) / 1e3,
             static_cast<double>(latency.quantile(0.99).count()) / 1e3);
  return {};
}

}  // namespace
}  // namespace ashlar::blockio

int main(int count, char** arguments) {
  using namespace ashlar::blockio;
  if (count == 2 && std::string_view(arguments[1]) == "variants") {
    for (const Variant& variant : kVariants) fmt::print("{}\n", variant.name);
    return 0;
  }
  if (count != kArguments && count != kArguments + 1) {
    fmt::print(stderr,
               "usage: {} PATH io_uring|aio DEPTH BLOCK-BYTES randread|randwrite|read|write SECONDS [VARIANT]\n",
               arguments[0]);
    return 2;
  }
  const ashlar::Status status = measure(count, arguments);
  if (status) return 0;
  fmt::print(stderr, "{}: {}\n", arguments[0], status.error().message());
  return 1;
}
