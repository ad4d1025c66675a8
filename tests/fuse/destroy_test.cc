// The end of a fuseblk mount: whatever the volume has to write is written before the kernel gets its answer, because
// then it lets go of the device.
#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <sys/stat.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "blockio/faulty_device.h"
#include "blockio/recording_device.h"
#include "fs/fuse/direct_requests.h"
#include "mkfs/format_volume.h"

namespace ashlar::fuse {
namespace {

constexpr std::uint64_t kVolumeBytes = 64ULL << 20;
constexpr std::uint64_t kPart = 4096;
constexpr std::uint64_t kScatteredBlocks = 3000;  // more than a caller who removes them would wait for

blockio::MemoryImage formatted() {
  blockio::MemoryDevice device(kVolumeBytes);
  auto io = device.open_queue({});
  EXPECT_TRUE(io);
  const auto done = mkfs::format_volume(device, **io, {});
  EXPECT_TRUE(done) << done.error().message();
  return device.snapshot();
}

struct Answer {
  int error = 0;
  std::size_t events = 0;  // of the device, when it left
};

// Keeps the answer, and how far the device was then.
class NotingTransport final : public Transport {
 public:
  NotingTransport(const blockio::RecordingDevice& device, std::optional<Answer>& answer)
      : device_(device), answer_(answer) {}

  [[nodiscard]] Result<std::span<std::byte>> receive() override { return std::span<std::byte>(); }
  [[nodiscard]] ssize_t send(std::span<const iovec> answer) override {
    fuse_out_header header;
    std::memcpy(&header, answer[0].iov_base, sizeof header);
    answer_ = Answer{-header.error, device_.event_count()};
    return static_cast<ssize_t>(header.len);
  }
  [[nodiscard]] std::span<std::byte> answer_space() noexcept override { return {}; }
  [[nodiscard]] const std::byte* request() const noexcept override { return nullptr; }

 private:
  const blockio::RecordingDevice& device_;
  std::optional<Answer>& answer_;
};

std::array<std::byte, sizeof(fuse_in_header)> request_of(std::uint32_t opcode) {
  fuse_in_header header{};
  header.len = sizeof header;
  header.opcode = opcode;
  header.unique = 7;
  std::array<std::byte, sizeof header> bytes{};
  std::memcpy(bytes.data(), &header, sizeof header);
  return bytes;
}

class Destroy : public ::testing::Test {
 protected:
  void SetUp() override {
    auto io = device_.open_queue({});
    ASSERT_TRUE(io);
    worker_ = std::make_unique<Worker>(*std::move(io), std::make_unique<NotingTransport>(recorded_, answer_));
    auto opened = volume::Volume::open(device_, worker_->io(), {});
    ASSERT_TRUE(opened) << opened.error().message();
    volume_ = *std::move(opened);
    edge_ = std::make_unique<Edge>(Edge{*volume_, [] { return std::string(); }});
    context_ = std::make_unique<volume::Context>(volume::Context{worker_->io(), {1'000'000, 0}});
  }

  // A file of separate blocks that the kernel still refers to.
  InodeNumber make_scattered_file(std::string_view name) {
    const auto made = volume_->make_node(*context_, kRootInode, name, {S_IFREG | 0644, 0});
    EXPECT_TRUE(made);
    const std::array<std::byte, kPart> block{std::byte{1}};
    for (std::uint64_t i = 0; i < kScatteredBlocks; ++i) {
      EXPECT_TRUE(volume_->write(*context_, made->inode, i * 2 * kPart, block, false));
    }
    return made->inode;
  }

  // As a worker serves it.
  void serve_destroy() {
    const RequestGate::Pass pass(*edge_->gate);
    ASSERT_TRUE(pass);
    EXPECT_TRUE(answer_directly(*edge_, *worker_, request_of(FUSE_DESTROY)));
  }

  blockio::RecordingDevice recorded_{formatted()};
  blockio::FaultyDevice device_{recorded_};
  std::optional<Answer> answer_;
  std::unique_ptr<Worker> worker_;
  std::unique_ptr<volume::Volume> volume_;
  std::unique_ptr<Edge> edge_;
  std::unique_ptr<volume::Context> context_;
};

TEST_F(Destroy, NothingIsWrittenAfterItsAnswer) {
  const std::uint64_t free_before = volume_->space().free;
  // One that lost its name and its last user, and one that the kernel leaves behind without a FORGET.
  for (const auto& [name, forgotten] : {std::pair("removed", true), std::pair("open", false)}) {
    const InodeNumber inode = make_scattered_file(name);
    ASSERT_TRUE(volume_->unlink(*context_, kRootInode, name));
    if (forgotten) volume_->forget(worker_->io(), inode, 1);
  }
  serve_destroy();
  ASSERT_TRUE(answer_);
  EXPECT_EQ(answer_->error, 0);
  const Answer last = *answer_;

  // Whatever comes late.
  EXPECT_FALSE(volume_->make_node(*context_, kRootInode, "late", {S_IFREG | 0644, 0}));
  static_cast<void>(volume_->sync_all(*context_));
  EXPECT_FALSE(volume_->store().set_label(worker_->io(), "late"));
  EXPECT_FALSE(volume_->store().checkpoint(worker_->io()));
  EXPECT_TRUE(volume_->store().stats().failure.empty());
  // What the daemon does at its end.
  const Status closed = volume_->close(worker_->io());
  EXPECT_TRUE(closed) << closed.error().message();
  edge_.reset();
  volume_.reset();
  EXPECT_EQ(recorded_.event_count(), last.events);

  // It was finished, all of it.
  auto again = volume::Volume::open(recorded_, worker_->io(), {});
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ((*again)->store().stats().replayed_records, 0U);
  EXPECT_EQ((*again)->store().item_count(format::ItemKind::orphan), 0U);
  EXPECT_EQ((*again)->space().free, free_before);
}

TEST_F(Destroy, LaterRequestsAreRefused) {
  serve_destroy();
  for (const auto& [opcode, answered] :
       {std::pair(FUSE_READ, true), std::pair(FUSE_FORGET, false), std::pair(FUSE_BATCH_FORGET, false),
        std::pair(FUSE_INTERRUPT, false), std::pair(FUSE_DESTROY, true)}) {
    answer_.reset();
    const RequestGate::Pass pass(*edge_->gate);
    EXPECT_FALSE(pass);
    refuse(*worker_, request_of(opcode));
    EXPECT_EQ(answer_.has_value(), answered) << opcode;
    EXPECT_EQ(answer_ ? answer_->error : EIO, EIO);
  }
}

// The last checkpoint fails: the daemon that closes the volume afterwards is told.
TEST_F(Destroy, AFailureIsTold) {
  static_cast<void>(make_scattered_file("kept"));
  ASSERT_TRUE(volume_->sync_all(*context_));
  device_.set_plan(blockio::fail_nth(blockio::OpKind::flush, 0));  // the checkpoint's
  serve_destroy();
  ASSERT_TRUE(answer_);
  const Answer last = *answer_;
  EXPECT_FALSE(volume_->store().stats().failure.empty());
  EXPECT_FALSE(volume_->close(worker_->io()));
  edge_.reset();
  volume_.reset();
  EXPECT_EQ(recorded_.event_count(), last.events);
}

TEST(RequestGate, ClosingWaitsForWhoIsInside) {
  RequestGate gate;
  std::optional<RequestGate::Pass> other(std::in_place, gate);
  ASSERT_TRUE(*other);
  std::atomic<bool> closed{false};
  std::thread closer([&] {
    const RequestGate::Pass own(gate);
    closed = gate.close();
  });
  // Until the gate is being closed.
  while (RequestGate::Pass(gate)) std::this_thread::yield();
  EXPECT_FALSE(closed);
  other.reset();
  closer.join();
  EXPECT_TRUE(closed);
  EXPECT_FALSE(gate.close());
}

}  // namespace
}  // namespace ashlar::fuse
