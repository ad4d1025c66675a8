// What STATX means for a write that failed before.
#include "fs/fuse/direct_requests.h"

#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <sys/stat.h>

#include <array>
#include <cstring>
#include <memory>
#include <span>
#include <utility>

#include "blockio/memory_device.h"
#include "mkfs/format_volume.h"

namespace ashlar::fuse {
namespace {

constexpr std::uint64_t kFormattedBytes = 64ULL << 20;
constexpr std::uint32_t kStatxOpcode = 52;

// Keeps how the last request was answered.
class KeepingTransport final : public Transport {
 public:
  [[nodiscard]] Result<std::span<std::byte>> receive() override { return std::span<std::byte>(); }
  [[nodiscard]] ssize_t send(std::span<const iovec> answer) override {
    std::memcpy(&last_, answer[0].iov_base, sizeof last_);
    return static_cast<ssize_t>(last_.len);
  }
  [[nodiscard]] std::span<std::byte> answer_space() noexcept override { return {}; }
  [[nodiscard]] const std::byte* request() const noexcept override { return nullptr; }

  [[nodiscard]] int error() const noexcept { return -last_.error; }

 private:
  fuse_out_header last_{};
};

class DirectRequests : public ::testing::Test {
 protected:
  void SetUp() override {
    auto io = device_.open_queue({});
    ASSERT_TRUE(io);
    const auto formatted = mkfs::format_volume(device_, **io, {});
    ASSERT_TRUE(formatted) << formatted.error().message();
    auto transport = std::make_unique<KeepingTransport>();
    transport_ = transport.get();
    worker_ = std::make_unique<Worker>(*std::move(io), std::move(transport));
    auto opened = volume::Volume::open(device_, worker_->io(), {});
    ASSERT_TRUE(opened) << opened.error().message();
    volume_ = *std::move(opened);
    edge_ = std::make_unique<Edge>(Edge{*volume_, [] { return std::string(); }});
  }

  void ask_for_statx(InodeNumber inode) {
    fuse_in_header header{};
    header.len = sizeof header;
    header.opcode = kStatxOpcode;
    header.nodeid = inode.value();
    EXPECT_TRUE(answer_directly(*edge_, *worker_, std::as_bytes(std::span(&header, 1))));
  }

  blockio::MemoryDevice device_{kFormattedBytes};
  KeepingTransport* transport_ = nullptr;
  std::unique_ptr<Worker> worker_;
  std::unique_ptr<volume::Volume> volume_;
  std::unique_ptr<Edge> edge_;
};

// The kernel has attributes then and asks for none before the next write, which must not fail long after for that.
TEST_F(DirectRequests, AttributesEndAnErrorThatWaitsForThem) {
  LateErrors& errors = *edge_->late_errors;
  errors.note(kRootInode, ErrorCode::no_space);
  ask_for_statx(kRootInode);
  EXPECT_EQ(transport_->error(), 0);
  EXPECT_FALSE(errors.take(kRootInode));
  // Those that could not be told end nothing.
  constexpr InodeNumber kNobody{12345};
  errors.note(kNobody, ErrorCode::no_space);
  ask_for_statx(kNobody);
  EXPECT_EQ(transport_->error(), ESTALE);
  EXPECT_TRUE(errors.take(kNobody));
}

}  // namespace
}  // namespace ashlar::fuse
