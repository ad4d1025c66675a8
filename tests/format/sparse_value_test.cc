#include "fs/format/sparse_value.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <random>
#include <vector>

namespace ashlar::format {
namespace {

using Bytes = std::vector<std::byte>;

Bytes compressed(const Bytes& value) {
  const std::uint64_t mask = nonzero_words(value);
  Bytes bytes(sparse_size(mask));
  compress(value, mask, bytes);
  return bytes;
}

TEST(SparseValueTest, ComesBackAsItWasWhateverIsZero) {
  std::mt19937_64 random(11);
  for (std::size_t words = 0; words <= kMaxSparseValue / kSparseWord; ++words) {
    for (const unsigned zeros_in_eight : {0U, 4U, 7U, 8U}) {
      Bytes value(words * kSparseWord);
      std::size_t kept = 0;
      for (std::size_t i = 0; i < words; ++i) {
        if (random() % 8 < zeros_in_eight) continue;
        value[i * kSparseWord + random() % kSparseWord] = std::byte{0x80};  // one byte keeps its whole word
        ++kept;
      }
      const Bytes bytes = compressed(value);
      EXPECT_EQ(bytes.size(), 8 + kept * kSparseWord);
      Bytes again(value.size(), std::byte{0xee});
      const auto taken = expand(bytes, again);
      ASSERT_TRUE(taken) << taken.error().message();
      EXPECT_EQ(*taken, bytes.size());
      EXPECT_EQ(again, value);
    }
  }
}

TEST(SparseValueTest, WhatFollowsIsLeftAlone) {
  Bytes bytes = compressed(Bytes(8, std::byte{1}));
  const std::size_t size = bytes.size();
  bytes.resize(size + 5, std::byte{0xee});
  Bytes value(8);
  const auto taken = expand(bytes, value);
  ASSERT_TRUE(taken);
  EXPECT_EQ(*taken, size);
}

TEST(SparseValueTest, EveryCutIsNoticed) {
  const Bytes bytes = compressed(Bytes(40, std::byte{3}));
  Bytes value(40);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(expand(std::span(bytes).first(size), value)) << size;
  }
}

TEST(SparseValueTest, WordsPastTheEndAreRefused) {
  for (unsigned bit = 0; bit < 64; ++bit) {
    const le64 mask{1ULL << bit};
    Bytes bytes(8 + kSparseWord);
    std::copy_n(reinterpret_cast<const std::byte*>(&mask), sizeof mask, bytes.begin());
    Bytes value(36);
    EXPECT_EQ(expand(bytes, value).has_value(), bit < 9) << bit;
    Bytes longest(kMaxSparseValue);
    EXPECT_TRUE(expand(bytes, longest)) << bit;
    Bytes none;
    EXPECT_FALSE(expand(bytes, none)) << bit;
  }
}

TEST(SparseValueTest, SizesThatNoMaskCoversAreRefused) {
  const Bytes bytes(300);
  for (const std::size_t size : {std::size_t{1}, std::size_t{6}, kMaxSparseValue + kSparseWord}) {
    Bytes value(size);
    EXPECT_FALSE(expand(bytes, value)) << size;
  }
}

}  // namespace
}  // namespace ashlar::format
