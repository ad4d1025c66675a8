// Many threads on one volume: each operation is whole, nothing is lost, nothing deadlocks.
#include <fcntl.h>
#include <linux/falloc.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <thread>

#include "tests/volume/rig.h"

namespace ashlar::volume::testing {
namespace {

class Threads : public ::testing::Test {
 protected:
  static VolumeOptions with_threads() {
    VolumeOptions options;
    options.store.background = true;
    options.store.commit_interval = std::chrono::milliseconds(20);
    return options;
  }
  Rig rig{kMiddleNodes, with_threads()};
  static constexpr unsigned kThreads = 4;

  // Each with a queue and a context of its own.
  void run(const std::function<void(unsigned, Context&)>& work) { run_on(rig, work); }
  static void run_on(Rig& rig, const std::function<void(unsigned, Context&)>& work) {
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < kThreads; ++i) {
      threads.emplace_back([&rig, i, &work] {
        const auto io = rig.new_queue();
        Context context{*io, {2'000'000, 0}, 0, 0};
        work(i, context);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
};

// As the kernel's write-back brings it, which the store gathers in memory; or as a caller waits for it.
WriteOrigin every_other(std::uint64_t i) { return i % 2 == 0 ? WriteOrigin::page_cache : WriteOrigin::caller; }

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

TEST_F(Threads, FilesOfTheirOwn) {
  run([&](unsigned id, Context& context) {
    Volume& volume = rig.volume();
    for (unsigned i = 0; i < 60; ++i) {
      const std::string name = std::to_string(id) + "-" + std::to_string(i);
      const auto made = volume.make_node(context, kRootInode, name, {S_IFREG | 0644, 0});
      ASSERT_TRUE(made);
      const std::string data = pattern(100 + std::size_t{500} * i, id);
      ASSERT_TRUE(volume.write(context, made->inode, 0, bytes_of(data), false, every_other(i)));
      if (i % 10 == 0) {
        ASSERT_TRUE(volume.sync_inode(context, made->inode, false));
      }
      blockio::AlignedBuffer buffer(data.size() + 2 * 4096);
      const auto read = volume.read(context, made->inode, 0, data.size(), buffer.span());
      ASSERT_TRUE(read);
      EXPECT_TRUE(std::equal(read->begin(), read->end(), bytes_of(data).begin(), bytes_of(data).end()));
      if (i % 3 == 0) {
        ASSERT_TRUE(volume.unlink(context, kRootInode, name));
      }
      volume.forget(context.io, made->inode, 1);
    }
  });
  EXPECT_EQ(rig.names(kRootInode).size(), kThreads * 40U);
  rig.remount();
  EXPECT_EQ(rig.names(kRootInode).size(), kThreads * 40U);
  rig.check();
}

// As open_by_handle_at(2) may: asking for numbers that are about to be given out keeps nobody from making files.
TEST_F(Threads, InodesAreMadeWhileTheirNumbersAreLookedFor) {
  constexpr std::uint64_t kFiles = 4000;
  std::atomic<std::uint64_t> next = rig.make_file(kRootInode, "first").value() + 1;
  const std::uint64_t end = next + kFiles;
  run([&](unsigned id, Context& context) {
    while (id != 0 && next < end) {
      const auto found = rig.volume().attributes(context, InodeNumber{next + id - 1});
      if (!found) {
        ASSERT_EQ(error_of(found), ErrorCode::stale_handle);
      }
    }
    for (std::uint64_t i = 0; id == 0 && i < kFiles; ++i) {
      const auto made = rig.volume().make_node(context, kRootInode, std::to_string(i), {S_IFREG | 0644, 0});
      next = made ? made->inode.value() + 1 : end;  // so that the others end
      ASSERT_TRUE(made) << i << ": " << made.error().message();
      rig.volume().forget(context.io, made->inode, 1);
    }
    next = end;
  });
  EXPECT_EQ(rig.names(kRootInode).size(), kFiles + 1);
  rig.check();
}

// Likewise for numbers of files that a crash left without names, which the mount removes.
TEST_F(Threads, RemovalsAreResumedWhileTheirInodesAreLookedFor) {
  constexpr std::size_t kFiles = 1000;
  std::vector<InodeNumber> files;
  for (std::size_t i = 0; i < kFiles; ++i) {
    files.push_back(rig.make_file(kRootInode, std::to_string(i)));
    rig.hold(kRootInode, std::to_string(i));
    ASSERT_TRUE(rig.volume().unlink(rig.context(), kRootInode, std::to_string(i)));
  }
  ASSERT_TRUE(rig.volume().sync_all(rig.context()));
  rig.crash();
  rig.mount();
  run([&](unsigned, Context& context) {
    while (rig.volume().store().item_count(format::ItemKind::orphan) != 0) {
      for (const InodeNumber file : files) {
        EXPECT_EQ(error_of(rig.volume().attributes(context, file)), ErrorCode::stale_handle);
      }
    }
  });
  rig.check();
}

TEST_F(Threads, OneFileWrittenAndReadByAll) {
  constexpr std::uint64_t kBlocks = 64;
  constexpr std::size_t kBlock = 4096;
  const InodeNumber file = rig.make_file(kRootInode, "f");
  rig.write(file, 0, std::string(kBlocks * kBlock, 'a'));
  run([&](unsigned id, Context& context) {
    std::mt19937_64 random(id);
    const std::string mine(2 * kBlock, static_cast<char>('a' + id));
    blockio::AlignedBuffer buffer(4 * kBlock);
    for (unsigned i = 0; i < 200; ++i) {
      const std::uint64_t offset = random() % (kBlocks - 1) * kBlock;
      if (random() % 2 == 0) {
        ASSERT_TRUE(rig.volume().write(context, file, offset, bytes_of(mine), false, every_other(i)));
        continue;
      }
      const auto read = rig.volume().read(context, file, offset, kBlock, buffer.span());
      ASSERT_TRUE(read) << read.error().message();
      ASSERT_EQ(read->size(), kBlock);
      // One writer's, whole.
      EXPECT_TRUE(std::all_of(read->begin(), read->end(), [&](std::byte b) { return b == (*read)[0]; }));
    }
  });
  rig.check();
}

// One thread puts the file together again and again while the others overwrite blocks of their own, punch them out, and
// read them back.
TEST_F(Threads, AFileIsPutTogetherUnderItsWriters) {
  constexpr std::uint64_t kBlocks = 512;
  constexpr std::size_t kBlock = 4096;
  const InodeNumber file = rig.make_file(kRootInode, "f");
  rig.write(file, 0, std::string(kBlocks * kBlock, '\0'));
  std::vector<unsigned> seeds(kBlocks, 0);  // 0: zeros. Each block has one writer.
  const auto expected = [&](std::uint64_t at) {
    return seeds[at] == 0 ? std::string(kBlock, '\0') : pattern(kBlock, seeds[at]);
  };
  std::atomic<unsigned> writers = kThreads - 1;
  std::atomic<std::uint64_t> moved = 0;
  const auto put_together = [&](Context& context) {
    blockio::AlignedBuffer buffer(kMaxWriteBytes);
    DefragmentRequest request;
    request.inode = file;
    while (writers != 0) {
      const auto step = rig.volume().defragment(context, request, buffer.span());
      ASSERT_TRUE(step) << step.error().message();
      moved += step->bytes;
      request.position = step->done ? 0 : step->next;
    }
  };
  run([&](unsigned id, Context& context) {
    if (id == 0) return put_together(context);
    const std::unique_ptr<std::atomic<unsigned>, void (*)(std::atomic<unsigned>*)> leaving(
        &writers, [](std::atomic<unsigned>* count) { --*count; });
    std::mt19937_64 random(id);
    blockio::AlignedBuffer buffer(3 * kBlock);
    for (unsigned i = 0; i < 1500; ++i) {
      const std::uint64_t at = random() % (kBlocks / kThreads) * kThreads + id;
      if (random() % 8 == 0) {
        ASSERT_TRUE(
            rig.volume().allocate(context, file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at * kBlock, kBlock));
        seeds[at] = 0;
      } else {
        seeds[at] = 1 + i * kThreads + id;
        ASSERT_TRUE(rig.volume().write(context, file, at * kBlock, bytes_of(expected(at)), false, every_other(i)));
      }
      const std::uint64_t look = random() % (kBlocks / kThreads) * kThreads + id;
      const auto read = rig.volume().read(context, file, look * kBlock, kBlock, buffer.span());
      ASSERT_TRUE(read) << read.error().message();
      ASSERT_TRUE(same({reinterpret_cast<const char*>(read->data()), read->size()}, expected(look)));
    }
  });
  EXPECT_GT(moved, 0U);
  for (int remounted = 0; remounted < 2; ++remounted) {
    for (std::uint64_t at = 0; at < kBlocks; ++at) ASSERT_TRUE(same(rig.read(file, at * kBlock, kBlock), expected(at)));
    rig.check();
    rig.remount();
  }
}

// Who lacks space while another one is at a removal waits for that.
TEST_F(Threads, RoomThatARemovalIsMaking) {
  constexpr std::uint64_t kPieces = 4000;
  constexpr std::uint64_t kBlock = 4096;
  constexpr unsigned kWrites = 3;
  const std::string chunk(256 * kBlock, 'x');
  Rig small{kMiddleNodes};  // without a thread for the rest of the removal: all of it is in unlink()
  Volume& volume = small.volume();
  const InodeNumber big = small.make_file(kRootInode, "big");
  for (std::uint64_t i = 0; i < kPieces; ++i) small.write(big, 2 * i * kBlock, std::string(kBlock, 'b'));
  const InodeNumber filler = small.make_file(kRootInode, "filler");
  std::uint64_t offset = 0;
  while (volume.write(small.context(), filler, offset, bytes_of(chunk), false)) offset += chunk.size();
  std::vector<InodeNumber> files;
  for (unsigned id = 0; id < kThreads; ++id) files.push_back(small.make_file(kRootInode, std::to_string(id)));
  const std::uint64_t free = volume.space().free;
  run_on(small, [&](unsigned id, Context& context) {
    if (id == 0) {
      EXPECT_TRUE(volume.unlink(context, kRootInode, "big"));
      return;
    }
    while (volume.space().free < free + 100) std::this_thread::yield();  // it has begun
    for (unsigned i = 0; i < kWrites; ++i) {
      const Status written = volume.write(context, files[id], i * chunk.size(), bytes_of(chunk), false);
      ASSERT_TRUE(written) << written.error().message();
    }
  });
  small.check();
}

// All of them find no place for a node, and one moves data out of the way, which others overwrite and remove.
TEST_F(Threads, DataIsMovedOutOfTheWayUnderItsWriters) {
  constexpr Geometry kGeometry{16ULL << 20, 4096, 16384};
  Rig small{kGeometry, with_threads()};
  Volume& volume = small.volume();
  std::uint64_t many = 0;
  for (;; ++many) {
    const std::string name = "old" + std::to_string(many);
    const auto made = volume.make_node(small.context(), kRootInode, name, {S_IFREG | 0644, 0});
    if (!made) break;
    const std::string data = pattern(4096, static_cast<unsigned>(many));
    const bool written = volume.write(small.context(), made->inode, 0, bytes_of(data), false).has_value();
    small.forget(made->inode);
    if (!written) break;
  }
  for (std::uint64_t i = 0; i < many; i += 2) {
    ASSERT_TRUE(volume.unlink(small.context(), kRootInode, "old" + std::to_string(i)));
  }
  std::array<std::uint64_t, kThreads> made_by{};
  run_on(small, [&](unsigned id, Context& context) {
    for (std::uint64_t i = 0;; ++i) {
      const std::string name = "new" + std::to_string(id) + "-" + std::to_string(i);
      if (!volume.make_symlink(context, kRootInode, name, std::string(200, 'x'))) break;
      made_by[id] = i;
      const std::uint64_t old = (i * kThreads + id) * 2 + 1;
      if (old >= many) continue;
      const auto found = volume.lookup(context, kRootInode, "old" + std::to_string(old));
      ASSERT_TRUE(found);
      const std::string data = pattern(4096, static_cast<unsigned>(old + many));
      const Status written = volume.write(context, found->inode, 0, bytes_of(data), false, every_other(i));
      EXPECT_TRUE(written || written.error().code() == ErrorCode::no_space);
      volume.forget(context.io, found->inode, 1);
    }
  });
  EXPECT_GT(std::accumulate(made_by.begin(), made_by.end(), std::uint64_t{0}), many);
  small.check();
  for (std::uint64_t i = 1; i < many; i += 2) {
    const std::string found = small.read(small.find(kRootInode, "old" + std::to_string(i)), 0, 8192);
    if (found == pattern(4096, static_cast<unsigned>(i + many))) continue;
    ASSERT_TRUE(same(found, pattern(4096, static_cast<unsigned>(i)))) << i;
  }
}

TEST_F(Threads, NamesFoughtOver) {
  const InodeNumber one = rig.make_directory(kRootInode, "one");
  const InodeNumber two = rig.make_directory(kRootInode, "two");
  run([&](unsigned id, Context& context) {
    std::mt19937_64 random(id + 100);
    Volume& volume = rig.volume();
    for (int i = 0; i < 400; ++i) {
      const InodeNumber from = random() % 2 == 0 ? one : two;
      const InodeNumber to = random() % 2 == 0 ? one : two;
      const std::string name = std::to_string(random() % 5);
      const std::string other = std::to_string(random() % 5);
      switch (random() % 7) {
        case 0: {
          const auto made = volume.make_node(context, from, name, {S_IFREG | 0644, 0});
          if (made) volume.forget(context.io, made->inode, 1);
          break;
        }
        case 1: {
          const auto made = volume.make_node(context, from, name, {S_IFDIR | 0755, 0});
          if (made) volume.forget(context.io, made->inode, 1);
          break;
        }
        case 2: static_cast<void>(volume.unlink(context, from, name)); break;
        case 3: static_cast<void>(volume.remove_directory(context, from, name)); break;
        case 4: {
          const auto found = volume.lookup(context, from, name);
          if (!found) break;
          if (const auto linked = volume.link(context, found->inode, to, other)) {
            volume.forget(context.io, found->inode, 1);
          }
          volume.forget(context.io, found->inode, 1);
          break;
        }
        case 5: {
          const Status listed = volume.read_directory(context, from, 0, random() % 2 == 0,
                                                      [&](const DirectoryEntry& entry, const Attributes* attributes) {
                                                        const bool dot = entry.name[0] == '.';
                                                        if (attributes != nullptr && !dot) {
                                                          volume.forget(context.io, entry.inode, 1);
                                                        }
                                                        return true;
                                                      });
          EXPECT_TRUE(listed);
          break;
        }
        default: static_cast<void>(volume.rename(context, from, name, to, other, random() % 4 == 0 ? 2 : 0)); break;
      }
    }
  });
  rig.check();
  rig.remount();
  rig.check();
}

TEST_F(Threads, RemovalOfLargeFilesBesideWriting) {
  const std::uint64_t free = rig.free_blocks();
  run([&](unsigned id, Context& context) {
    Volume& volume = rig.volume();
    const std::string data = pattern(4096, id);
    for (int round = 0; round < 3; ++round) {
      const std::string name = std::to_string(id);
      const auto made = volume.make_node(context, kRootInode, name, {S_IFREG | 0644, 0});
      ASSERT_TRUE(made);
      for (std::uint64_t i = 0; i < 300; ++i) {
        ASSERT_TRUE(volume.write(context, made->inode, i * 8192, bytes_of(data), false, every_other(i)));
      }
      ASSERT_TRUE(volume.unlink(context, kRootInode, name));
      volume.forget(context.io, made->inode, 1);
    }
  });
  rig.remount();  // waits for the removals
  EXPECT_EQ(rig.volume().space().inodes, 1U);
  EXPECT_EQ(rig.free_blocks(), free);
  rig.check();
}

}  // namespace
}  // namespace ashlar::volume::testing
