// Power cuts while several threads and the store's own are at work: each thread's directory shows the state after some
// of that thread's operations, which hold all that was acknowledged to it.
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <sstream>
#include <thread>

#include "blockio/recording_device.h"
#include "tests/crash/budget.h"
#include "tests/crash/checker.h"
#include "tests/crash/session.h"
#include "tests/crash/view.h"
#include "tests/volume/pattern.h"

namespace ashlar::crash_test {
namespace {

constexpr unsigned kThreads = 4;
constexpr unsigned kNames = 6;

// One thread's directory, what was done in it, and what was acknowledged.
class Worker {
 public:
  Worker(blockio::RecordingDevice& device, volume::Volume& volume, unsigned id, std::uint64_t seed)
      : device_(device), volume_(volume), name_("t" + std::to_string(id)), random_(seed * kThreads + id) {
    directory_->mode = S_IFDIR | 0755;
    root_.names[name_] = directory_;
  }

  void make_directory(volume::Context& context) {
    const auto made = volume_.make_node(context, kRootInode, name_, {directory_->mode, 0});
    ASSERT_TRUE(made);
    number_ = made->inode;  // held
    began("mkdir");
    ended("");
  }

  void work(unsigned operations) {
    const auto io = device_.open_queue({});
    volume::Context context{**io, {2'000'000, 0}, 0, 0};
    for (unsigned i = 0; i < operations; ++i) ASSERT_NO_FATAL_FAILURE(one_operation(context));
  }

  // nullopt: `view`, of the volume after a power cut when `events` events had happened, shows what it may.
  [[nodiscard]] std::optional<std::string> judge(const std::string& view, std::size_t events) const {
    std::istringstream lines(view);
    std::string shown;
    for (std::string line; std::getline(lines, line);) {
      const bool mine = line.starts_with("/" + name_ + " ") || line.starts_with("/" + name_ + "/");
      if (mine) shown += line + "\n";
    }
    std::size_t least = 0;
    for (const History::Promise& promise : promises_) {
      if (promise.events <= events) least = std::max(least, promise.moment);
    }
    std::size_t last = least;
    for (std::size_t i = least; i < moments_.size() && moments_[i].events <= events; ++i) {
      last = i;
      if (moments_[i].view == shown) return std::nullopt;
    }
    std::string text = name_ + ": not after any operation from " + std::to_string(least) + " to " +
                       std::to_string(last) + "\n" + difference(moments_[least].view, shown);
    for (std::size_t i = 0; i < moments_.size(); ++i) {
      if (moments_[i].view == shown) text += "it is the state after " + std::to_string(i) + "\n";
    }
    return text;
  }
  [[nodiscard]] std::size_t promises() const { return promises_.size(); }

 private:
  void one_operation(volume::Context& context) {
    const std::string name = "f" + std::to_string(random_() % kNames);
    const auto found = directory_->names.find(name);
    if (found == directory_->names.end()) return create(context, name);
    switch (random_() % 8) {
      case 0:
        began("unlink " + name);
        ASSERT_TRUE(volume_.unlink(context, number_, name));
        directory_->names.erase(name);
        return ended(name);
      case 1: {
        const std::string to = "f" + std::to_string(random_() % kNames);
        if (to == name) return;
        began("rename " + name + " " + to);
        ASSERT_TRUE(volume_.rename(context, number_, name, number_, to, 0));
        directory_->names[to] = found->second;
        directory_->names.erase(name);
        return ended(to);
      }
      case 2:
      case 3: return sync(context, name);
      default: return write(context, name, *found->second);
    }
  }

  void create(volume::Context& context, const std::string& name) {
    began("create " + name);
    const auto made = volume_.make_node(context, number_, name, {S_IFREG | 0644, 0});
    ASSERT_TRUE(made);
    volume_.forget(context.io, made->inode, 1);
    const auto node = std::make_shared<ModelNode>();
    node->mode = S_IFREG | 0644;
    node->links = 1;
    directory_->names[name] = node;
    ended(name);
  }

  void write(volume::Context& context, const std::string& name, ModelNode& node) {
    began("write " + name);
    const auto file = volume_.lookup(context, number_, name);
    ASSERT_TRUE(file);
    const std::uint64_t offset = random_() % 20'000;
    const std::string data = volume::testing::pattern(1 + random_() % 9000, static_cast<unsigned>(random_()));
    const auto origin = random_() % 4 == 0 ? volume::WriteOrigin::caller : volume::WriteOrigin::page_cache;
    ASSERT_TRUE(volume_.write(context, file->inode, offset, std::as_bytes(std::span(data)), false, origin));
    volume_.forget(context.io, file->inode, 1);
    node.write(offset, data);
    ended(name);
  }

  // Of the directory or of a file; what one of them covers of the other operations, the log's order says.
  void sync(volume::Context& context, const std::string& name) {
    const bool whole = random_() % 2 == 0;
    const auto file = volume_.lookup(context, number_, name);
    ASSERT_TRUE(file);
    ASSERT_TRUE(whole ? volume_.sync_all(context) : volume_.sync_inode(context, file->inode, random_() % 2 == 0));
    volume_.forget(context.io, file->inode, 1);
    const std::size_t covered = whole ? moments_.size() - 1 : changed_at_[name];
    promises_.push_back({device_.event_count(), covered});
  }

  void began(const std::string& operation) {
    moments_.push_back({});
    moments_.back().events = device_.event_count();
    moments_.back().operation = operation;
  }
  void ended(const std::string& changed) {
    moments_.back().view = plain(root_);
    changed_at_[changed] = moments_.size() - 1;
  }

  blockio::RecordingDevice& device_;
  volume::Volume& volume_;
  const std::string name_;
  std::mt19937_64 random_;
  InodeNumber number_;
  ModelNode root_;
  ModelNodePtr directory_ = std::make_shared<ModelNode>();
  std::vector<Moment> moments_;  // events: before the operation began
  std::vector<History::Promise> promises_;
  std::map<std::string, std::size_t> changed_at_;  // the moment after the last change of what has this name
};

TEST(CrashThreadsTest, EachThreadFindsAPrefixOfItsOwn) {
  constexpr unsigned kOperations = kSanitized ? 60 : 150;
  const std::uint64_t cuts = scaled(250, 20);
  const std::uint64_t seed = first_seed();
  blockio::RecordingDevice device(formatted({}));
  const auto io = device.open_queue({});
  volume::VolumeOptions options;
  options.store.commit_interval = std::chrono::milliseconds(1);
  auto volume = volume::Volume::open(device, **io, options);
  ASSERT_TRUE(volume);
  volume::Context context{**io, {1'000'000, 0}, 0, 0};
  std::vector<std::unique_ptr<Worker>> workers;
  for (unsigned id = 0; id < kThreads; ++id) {
    workers.push_back(std::make_unique<Worker>(device, **volume, id, seed));
    ASSERT_NO_FATAL_FAILURE(workers.back()->make_directory(context));
  }
  ASSERT_TRUE((*volume)->sync_all(context));
  const std::size_t begin = device.event_count();
  std::vector<std::thread> threads;
  for (const auto& worker : workers) threads.emplace_back([&worker] { worker->work(kOperations); });
  for (unsigned i = 0; i < 4; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_TRUE((*volume)->store().checkpoint(**io));
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_FALSE(HasFailure());
  const std::size_t end = device.event_count();
  volume->reset();  // the process dies

  Checker checker;
  std::mt19937_64 random(seed);
  for (std::uint64_t cut = 0; cut < cuts; ++cut) {
    const std::size_t events = cut == 0 ? end : begin + random() % (end - begin + 1);
    SCOPED_TRACE("ASHLAR_CRASH_SEED=" + std::to_string(seed) + ", " + std::to_string(events) + " events");
    const blockio::MemoryImage image =
        cut % 4 == 1 ? device.after_power_cut(events) : device.after_power_cut(events, &random);
    const Checker::Finding found = checker.examine(image, cut % 8 == 0 ? Care::used : Care::mounted);
    ASSERT_EQ(found.problem, "");
    const std::string view = plain(found.view);
    for (const auto& worker : workers) {
      const auto wrong = worker->judge(view, events);
      ASSERT_FALSE(wrong) << *wrong;
    }
  }
  std::size_t promises = 0;
  for (const auto& worker : workers) promises += worker->promises();
  std::cout << end - begin << " device operations, " << promises << " acknowledged syncs, " << cuts << " power cuts\n";
}

}  // namespace
}  // namespace ashlar::crash_test
