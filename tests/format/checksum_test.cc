#include "fs/format/checksum.h"

#include <gtest/gtest.h>

#include <array>
#include <string_view>
#include <vector>

namespace ashlar::format {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

// Bit by bit, as the polynomial's definition has it.
std::uint32_t slow_crc32c(std::span<const std::byte> data) {
  std::uint32_t crc = ~0U;
  for (const std::byte byte : data) {
    crc ^= static_cast<std::uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f6'3b78U : 0U);
  }
  return ~crc;
}

TEST(ChecksumTest, KnownVectors) {
  EXPECT_EQ(crc32c({}), 0U);
  EXPECT_EQ(crc32c(bytes_of("123456789")), 0xe306'9283U);
  std::array<std::byte, 32> block{};
  EXPECT_EQ(crc32c(block), 0x8a91'36aaU);  // RFC 3720, B.4
  block.fill(std::byte{0xff});
  EXPECT_EQ(crc32c(block), 0x62a8'ab43U);
  for (std::size_t i = 0; i < block.size(); ++i) block[i] = static_cast<std::byte>(i);
  EXPECT_EQ(crc32c(block), 0x46dd'794eU);
}

TEST(ChecksumTest, ContinuesWhereAnEarlierCallEnded) {
  std::vector<std::byte> data(300);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i * 7);
  const std::span<const std::byte> all(data);
  const std::uint32_t whole = slow_crc32c(all);
  for (std::size_t cut = 0; cut <= data.size(); ++cut) {
    EXPECT_EQ(crc32c(all.subspan(cut), crc32c(all.first(cut))), whole) << cut;
  }
}

TEST(ChecksumTest, TheHoleCountsAsZerosWhateverItHolds) {
  std::vector<std::byte> data(64, std::byte{0xa5});
  for (std::size_t hole = 0; hole + 4 <= data.size(); ++hole) {
    auto zeroed = data;
    std::fill_n(zeroed.begin() + static_cast<std::ptrdiff_t>(hole), 4, std::byte{0});
    EXPECT_EQ(crc32c_except(data, hole), slow_crc32c(zeroed)) << hole;
  }
}

TEST(ChecksumTest, AHoleAtOrPastTheEndStaysInBounds) {
  const std::vector<std::byte> data(10, std::byte{1});
  auto zeroed = data;
  zeroed[8] = zeroed[9] = std::byte{0};
  EXPECT_EQ(crc32c_except(data, 8), slow_crc32c(zeroed));
  EXPECT_EQ(crc32c_except(data, 10), slow_crc32c(data));
  EXPECT_EQ(crc32c_except(data, 1000), slow_crc32c(data));
}

}  // namespace
}  // namespace ashlar::format
