// What operations cost the daemon below FUSE, on a device in memory: for callgrind, which counts instructions.
//
//   valgrind --tool=callgrind --toggle-collect='*measured_*' volume_cost PHASE COUNT
//
// PHASE: overwrite, create, lookup, rename or unlink. Each prints how many operations it made; divide by that what
// callgrind counted in measured_PHASE and, apart, in measured_checkpoint.
#include <fmt/core.h>
#include <sys/stat.h>

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "blockio/aligned_buffer.h"
#include "blockio/memory_device.h"
#include "fs/volume/volume.h"
#include "mkfs/format_volume.h"

namespace {

using namespace ashlar;

constexpr std::uint64_t kDeviceBytes = 1ULL << 30;
constexpr std::uint64_t kBlockSize = 4096;
constexpr std::uint64_t kFileBlocks = (128ULL << 20) / kBlockSize;
constexpr std::size_t kDirectories = 20;
// As the store's own thread would, which is switched off here.
constexpr double kCheckpointFill = 0.5;

[[noreturn]] void give_up(std::string_view what, const Error& error) {
  fmt::print(stderr, "volume_cost: {}: {}\n", what, error.message());
  std::exit(EXIT_FAILURE);
}

template <typename T>
T must(std::string_view what, Result<T> result) {
  if (!result) give_up(what, result.error());
  return *std::move(result);
}
void must(std::string_view what, const Status& status) {
  if (!status) give_up(what, status.error());
}

class Bench {
 public:
  Bench() : device_(kDeviceBytes), io_(must("queue", device_.open_queue({}))), context_{*io_} {
    static_cast<void>(must("mkfs", mkfs::format_volume(device_, *io_, {})));
    volume::VolumeOptions options;
    options.store.background = false;
    volume_ = must("mount", volume::Volume::open(device_, *io_, options));
    context_.now = {1'000'000, 42};
    if (page_.empty()) std::abort();
    for (std::size_t i = 0; i < page_.size(); ++i) page_.data()[i] = static_cast<std::byte>(i * 131 >> 3);
  }

  volume::Volume& volume() { return *volume_; }
  volume::Context& context() { return context_; }
  blockio::IoQueue& io() { return *io_; }

  InodeNumber make(InodeNumber parent, const std::string& name, std::uint32_t mode) {
    return must("make", volume_->make_node(context_, parent, name, {mode, 0})).inode;
  }
  // Different bytes every time.
  std::span<const std::byte> page() {
    ++*reinterpret_cast<std::uint64_t*>(page_.data());
    return page_.span();
  }
  void checkpoint_if_due();

 private:
  blockio::MemoryDevice device_;
  std::unique_ptr<blockio::IoQueue> io_;
  volume::Context context_;
  std::unique_ptr<volume::Volume> volume_;
  blockio::AlignedBuffer page_{kBlockSize};
};

[[gnu::noinline]] void measured_checkpoint(Bench& bench) {
  must("checkpoint", bench.volume().store().checkpoint(bench.io()));
}

void Bench::checkpoint_if_due() {
  if (volume_->store().stats().log_fill > kCheckpointFill) measured_checkpoint(*this);
}

[[gnu::noinline]] void measured_overwrite(Bench& bench, InodeNumber file, std::uint64_t block) {
  must("write", bench.volume().write(bench.context(), file, block * kBlockSize, bench.page(), false));
}

[[gnu::noinline]] void measured_create(Bench& bench, InodeNumber parent, const std::string& name) {
  const InodeNumber file = bench.make(parent, name, S_IFREG | 0644);
  must("write", bench.volume().write(bench.context(), file, 0, bench.page(), false, volume::WriteOrigin::page_cache));
}

[[gnu::noinline]] void measured_lookup(Bench& bench, InodeNumber parent, const std::string& name) {
  const auto found = must("lookup", bench.volume().lookup(bench.context(), parent, name));
  bench.volume().forget(bench.io(), found.inode, 1);
}

[[gnu::noinline]] void measured_rename(Bench& bench, InodeNumber parent, const std::string& from,
                                       const std::string& to) {
  must("rename", bench.volume().rename(bench.context(), parent, from, parent, to, 0));
}

// As the kernel: the last reference goes after the name.
[[gnu::noinline]] void measured_unlink(Bench& bench, InodeNumber parent, const std::string& name, InodeNumber file) {
  must("unlink", bench.volume().unlink(bench.context(), parent, name));
  bench.volume().forget(bench.io(), file, 1);
}

void overwrite(Bench& bench, std::uint64_t count) {
  const InodeNumber file = bench.make(InodeNumber{1}, "large", S_IFREG | 0644);
  constexpr std::uint64_t kWrite = 1U << 20;
  const std::vector<std::byte> data(kWrite);
  for (std::uint64_t offset = 0; offset < kFileBlocks * kBlockSize; offset += kWrite) {
    must("write", bench.volume().write(bench.context(), file, offset, data, false));
  }
  std::mt19937_64 random(1);
  const auto random_block = [&random] { return random() % kFileBlocks; };
  // The extents are to be fragmented already.
  for (std::uint64_t i = 0; i < kFileBlocks / 2; ++i) {
    must("write", bench.volume().write(bench.context(), file, random_block() * kBlockSize, bench.page(), false));
    if (i % 16 == 0 && bench.volume().store().stats().log_fill > kCheckpointFill) {
      must("checkpoint", bench.volume().store().checkpoint(bench.io()));
    }
  }
  must("checkpoint", bench.volume().store().checkpoint(bench.io()));
  for (std::uint64_t i = 0; i < count; ++i) {
    measured_overwrite(bench, file, random_block());
    if (i % 16 == 0) bench.checkpoint_if_due();
  }
  measured_checkpoint(bench);
}

void small_files(Bench& bench, std::string_view phase, std::uint64_t count) {
  std::vector<InodeNumber> directories;
  for (std::size_t i = 0; i < kDirectories; ++i) {
    directories.push_back(bench.make(InodeNumber{1}, fmt::format("d{}", i), S_IFDIR | 0755));
  }
  std::vector<InodeNumber> files;
  const auto parent_of = [&](std::uint64_t i) { return directories[i % kDirectories]; };
  const auto name_of = [](std::uint64_t i) { return fmt::format("file{}", i); };
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string name = name_of(i);
    if (phase == "create") {
      measured_create(bench, parent_of(i), name);
      if (i % 16 == 0) bench.checkpoint_if_due();
    } else {
      files.push_back(bench.make(parent_of(i), name, S_IFREG | 0644));
      must("write", bench.volume().write(bench.context(), files.back(), 0, bench.page(), false,
                                         volume::WriteOrigin::page_cache));
    }
  }
  if (phase == "create") return measured_checkpoint(bench);
  must("checkpoint", bench.volume().store().checkpoint(bench.io()));
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string name = name_of(i);
    if (phase == "lookup") measured_lookup(bench, parent_of(i), name);
    if (phase == "rename") measured_rename(bench, parent_of(i), name, name + ".new");
    if (phase == "unlink") measured_unlink(bench, parent_of(i), name, files[i]);
    if (i % 16 == 0) bench.checkpoint_if_due();
  }
  measured_checkpoint(bench);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: volume_cost overwrite|create|lookup|rename|unlink COUNT\n");
    return EXIT_FAILURE;
  }
  const std::string_view phase = argv[1];
  const std::string_view number = argv[2];
  std::uint64_t count = 0;
  std::from_chars(number.data(), number.data() + number.size(), count);
  Bench bench;
  if (phase == "overwrite") {
    overwrite(bench, count);
  } else {
    small_files(bench, phase, count);
  }
  const auto stats = bench.volume().store().stats();
  fmt::print("{} operations, {} records, {:.1f} bytes of log a record, {} checkpoints, {} nodes written\n", count,
             stats.log.records, static_cast<double>(stats.log.record_bytes) / static_cast<double>(stats.log.records),
             stats.checkpoints, stats.nodes_written);
  return EXIT_SUCCESS;
}
