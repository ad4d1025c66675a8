// Two hosts and one volume.
#include "fs/claim/volume_claim.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "blockio/faulty_device.h"
#include "blockio/memory_device.h"
#include "fs/store/store.h"
#include "mkfs/format_volume.h"

namespace ashlar::claim {
namespace {

using namespace std::chrono_literals;

// A holder's thread is never kept from running for as long as the other waits: two and a half of these.
constexpr auto kInterval = 600ms;
// Where nobody holds it.
constexpr auto kShortInterval = 10ms;

ClaimOptions host(std::uint8_t number, std::chrono::milliseconds interval = kInterval) {
  ClaimOptions options;
  options.interval = interval;
  options.identity.boot_id.fill(number);
  options.identity.host = "host " + std::to_string(number);
  return options;
}

std::unique_ptr<blockio::IoQueue> open_queue(blockio::BlockDevice& device) {
  auto queue = device.open_queue({});
  EXPECT_TRUE(queue);
  return queue ? *std::move(queue) : nullptr;
}

bool same(const blockio::MemoryImage& left, const blockio::MemoryImage& right) {
  constexpr std::size_t kPart = 1U << 20;
  std::vector<std::byte> a(kPart);
  std::vector<std::byte> b(kPart);
  for (std::uint64_t offset = 0; offset < left.size(); offset += kPart) {
    left.read(offset, a);
    right.read(offset, b);
    if (a != b) return false;
  }
  return true;
}

class VolumeClaimTest : public ::testing::Test {
 protected:
  void SetUp() override {
    mkfs::FormatOptions options;
    options.read_only_compatible = format::kHostClaims;
    const auto made = mkfs::format_volume(device, *io, options);
    ASSERT_TRUE(made) << made.error().message();
    superblock = made->superblock;
  }
  [[nodiscard]] Result<std::unique_ptr<VolumeClaim>> take(std::uint8_t number,
                                                          std::chrono::milliseconds interval = kInterval) {
    return VolumeClaim::take(*io, superblock, host(number, interval));
  }
  [[nodiscard]] format::HostClaim on_device() {
    format::HostClaim claim;
    blockio::AlignedBuffer block(format::kHostClaimSize);
    blockio::IoOp read = blockio::IoOp::read(format::kHostClaimOffset, block.span());
    EXPECT_TRUE(io->run(read));
    std::memcpy(&claim, block.data(), sizeof claim);
    return claim;
  }
  void put_on_device(const format::HostClaim& claim) {
    blockio::AlignedBuffer block(format::kHostClaimSize);
    std::memcpy(block.data(), &claim, sizeof claim);
    blockio::IoOp write = blockio::IoOp::write(format::kHostClaimOffset, block.span());
    EXPECT_TRUE(io->run(write));
  }

  blockio::MemoryDevice device{32U << 20};
  std::unique_ptr<blockio::IoQueue> io = open_queue(device);
  format::Superblock superblock{};
};

TEST_F(VolumeClaimTest, OtherVolumesKnowNone) {
  superblock.read_only_compatible = 0;
  const auto claim = take(1);
  ASSERT_TRUE(claim);
  EXPECT_EQ(*claim, nullptr);
}

TEST_F(VolumeClaimTest, WhileOneKeepsItTheOtherIsRefused) {
  auto first = take(1);
  ASSERT_TRUE(first) << first.error().message();
  bool lost = false;
  ASSERT_TRUE((*first)->keep(device, [&lost](const std::string&) { lost = true; }));
  const auto second = take(2);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), ErrorCode::busy);
  EXPECT_NE(second.error().message().find("host 1"), std::string::npos) << second.error().message();
  ASSERT_TRUE((*first)->release(*io));
  EXPECT_FALSE(lost);
  EXPECT_TRUE(take(2));
}

TEST_F(VolumeClaimTest, WhatItsHolderLeftBehindIsTakenOver) {
  {
    const auto first = take(1, kShortInterval);
    ASSERT_TRUE(first);
  }
  const auto second = take(2, kShortInterval);
  EXPECT_TRUE(second) << second.error().message();
}

TEST_F(VolumeClaimTest, OneHostDoesNotWaitForItself) {
  ClaimOptions slow = host(1);
  slow.interval = 5s;
  {
    format::HostClaim left{};
    left.magic = format::kHostClaimMagic;
    std::memcpy(left.uuid, superblock.uuid, sizeof left.uuid);
    left.sequence = 77;
    left.interval = 5000;
    std::memcpy(left.boot_id, slow.identity.boot_id.data(), sizeof left.boot_id);
    format::seal(left);
    put_on_device(left);
  }
  const auto began = std::chrono::steady_clock::now();
  EXPECT_TRUE(VolumeClaim::take(*io, superblock, slow));
  EXPECT_LT(std::chrono::steady_clock::now() - began, 5s) << "either wait would have been as long";
}

TEST_F(VolumeClaimTest, ADamagedClaimIsWaitedForAndReplaced) {
  format::HostClaim torn{};
  torn.magic = format::kHostClaimMagic;
  torn.crc = 1;
  put_on_device(torn);
  const auto claim = take(1, kShortInterval);
  ASSERT_TRUE(claim) << claim.error().message();
  EXPECT_EQ(format::host_text(on_device()), "host 1");
}

TEST_F(VolumeClaimTest, OfTwoAtTheSameMomentOneGetsIt) {
  for (std::uint8_t round = 0; round < 2; ++round) {
    const auto try_to_keep = [&](std::uint8_t number) {
      const auto queue = open_queue(device);
      auto claim = VolumeClaim::take(*queue, superblock, host(number));
      return claim && (*claim)->keep(device, [](const std::string&) {}) ? *std::move(claim) : nullptr;
    };
    const auto number = static_cast<std::uint8_t>(2 * round + 1);
    auto others = std::async(std::launch::async, try_to_keep, number);
    const auto mine = try_to_keep(static_cast<std::uint8_t>(number + 1));
    const auto theirs = others.get();
    EXPECT_FALSE(mine && theirs);
    for (const auto& one : {mine.get(), theirs.get()}) EXPECT_TRUE(one == nullptr || one->release(*io));
  }
}

TEST_F(VolumeClaimTest, WhoFindsAnothersClaimHasLostIt) {
  auto claim = take(1, kShortInterval);
  ASSERT_TRUE(claim);
  std::promise<std::string> why;
  ASSERT_TRUE((*claim)->keep(device, [&why](std::string text) { why.set_value(std::move(text)); }));
  format::HostClaim theirs = on_device();
  theirs.sequence = theirs.sequence + 1000;
  std::memset(theirs.host, 0, sizeof theirs.host);
  std::memcpy(theirs.host, "intruder", 8);
  format::seal(theirs);
  put_on_device(theirs);
  EXPECT_NE(why.get_future().get().find("intruder"), std::string::npos);
  const Status released = (*claim)->release(*io);
  ASSERT_FALSE(released);
  EXPECT_EQ(released.error().code(), ErrorCode::busy);
  EXPECT_EQ(format::host_text(on_device()), "intruder") << "what is another's stays";
}

TEST_F(VolumeClaimTest, WhoCannotRewriteItLosesIt) {
  blockio::FaultyDevice faulty(device);
  auto claim = take(1, kShortInterval);
  ASSERT_TRUE(claim);
  std::promise<void> lost;
  faulty.set_plan([](const blockio::FaultQuestion& question) {
    return question.op.kind == blockio::OpKind::write_durable ? blockio::Fault::fail : blockio::Fault::none;
  });
  ASSERT_TRUE((*claim)->keep(faulty, [&lost](const std::string&) { lost.set_value(); }));
  lost.get_future().wait();
}

TEST_F(VolumeClaimTest, AMountedVolumeIsRefusedToOtherHostsAndStopsWhenItIsLost) {
  store::StoreOptions options;
  options.background = false;
  options.claim = host(1);
  std::promise<void> stopped;
  options.on_failure = [&stopped] { stopped.set_value(); };
  auto mounted = store::Store::open(device, *io, options);
  ASSERT_TRUE(mounted) << mounted.error().message();

  store::StoreOptions elsewhere = options;
  elsewhere.claim = host(2);
  const auto refused = store::Store::open(device, *io, elsewhere);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::busy);
  elsewhere.read_only = true;
  EXPECT_TRUE(store::Store::open(device, *io, elsewhere)) << "looking is free";

  format::HostClaim theirs = on_device();
  theirs.sequence = theirs.sequence + 1000;
  format::seal(theirs);
  put_on_device(theirs);
  stopped.get_future().wait();
  EXPECT_TRUE((*mounted)->read_only());
  const blockio::MemoryImage before = device.snapshot();
  EXPECT_FALSE((*mounted)->close(*io));
  const blockio::MemoryImage after = device.snapshot();
  EXPECT_TRUE(same(before, after)) << "nothing is written any more";
}

TEST_F(VolumeClaimTest, UnmountingGivesTheVolumeBack) {
  store::StoreOptions options;
  options.background = false;
  options.claim = host(1, kShortInterval);
  auto mounted = store::Store::open(device, *io, options);
  ASSERT_TRUE(mounted);
  EXPECT_EQ(on_device().magic, format::kHostClaimMagic);
  ASSERT_TRUE((*mounted)->close(*io));
  EXPECT_EQ(on_device().magic, 0U);
}

}  // namespace
}  // namespace ashlar::claim
