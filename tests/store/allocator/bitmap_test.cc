#include "fs/store/allocator/bitmap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace ashlar::store {
namespace {

constexpr std::uint32_t kBits = 1024;

class BitmapTest : public ::testing::TestWithParam<std::uint64_t> {
 protected:
  struct Range {
    std::uint32_t first;
    std::uint32_t count;
  };
  Range random_range(std::uint32_t longest) {
    const auto first = static_cast<std::uint32_t>(random_() % kBits);
    const auto count = static_cast<std::uint32_t>(random_() % (std::min(longest, kBits - first) + 1));
    return {first, count};
  }
  // The runs of clear bits that begin at `from` or later (or reach past it, cut off there).
  std::vector<Range> clear_runs(std::uint32_t from) const {
    std::vector<Range> runs;
    for (std::uint32_t i = from; i < kBits; ++i) {
      if (model_[i]) continue;
      std::uint32_t end = i;
      while (end < kBits && !model_[end]) ++end;
      runs.push_back({i, end - i});
      i = end;
    }
    return runs;
  }

  std::mt19937_64 random_{GetParam()};
  std::vector<bool> model_ = std::vector<bool>(kBits);
  Bitmap bitmap_{std::vector<std::byte>(kBits / 8)};
};

TEST_P(BitmapTest, DoesWhatBoolsDo) {
  for (int step = 0; step < 2000; ++step) {
    const Range range = random_range(step % 2 == 0 ? 200 : 20);
    const auto begin = model_.begin() + range.first;
    const auto end = begin + range.count;
    if (random_() % 2 == 0) {
      bitmap_.set(range.first, range.count);
      std::fill(begin, end, true);
    } else {
      bitmap_.clear(range.first, range.count);
      std::fill(begin, end, false);
    }
    const Range asked = random_range(300);
    const auto asked_begin = model_.begin() + asked.first;
    const auto set = static_cast<std::uint32_t>(std::count(asked_begin, asked_begin + asked.count, true));
    ASSERT_EQ(bitmap_.count_set(asked.first, asked.count), set);
    ASSERT_EQ(bitmap_.all_set(asked.first, asked.count), set == asked.count);
    ASSERT_EQ(bitmap_.none_set(asked.first, asked.count), set == 0);
    ASSERT_EQ(bitmap_.count_clear(), std::count(model_.begin(), model_.end(), false));

    const std::vector<Range> runs = clear_runs(asked.first);
    const std::uint32_t length = runs.empty() || runs[0].first != asked.first ? 0 : runs[0].count;
    ASSERT_EQ(bitmap_.clear_length(asked.first, 40), std::min(length, 40U));
    const auto wanted = static_cast<std::uint32_t>(1 + random_() % 60);
    const Bitmap::Run found = bitmap_.find_clear(asked.first, wanted);
    const auto fits = std::find_if(runs.begin(), runs.end(), [&](const Range& run) { return run.count >= wanted; });
    if (fits != runs.end()) {
      ASSERT_EQ(found.first, fits->first);
      ASSERT_EQ(found.count, fits->count);
    } else {
      std::uint32_t longest = 0;
      for (const Range& run : runs) longest = std::max(longest, run.count);
      ASSERT_EQ(found.count, longest);
    }
  }
}

TEST_P(BitmapTest, BytesComeBackAsTheyWent) {
  std::vector<std::byte> bytes(kBits / 8);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random_());
  const Bitmap bitmap(bytes);
  std::vector<std::byte> copy(bytes.size());
  bitmap.store(copy);
  EXPECT_EQ(copy, bytes);
  for (std::uint32_t i = 0; i < kBits; ++i) {
    const bool set = (bytes[i / 8] >> (i % 8) & std::byte{1}) != std::byte{0};
    ASSERT_EQ(bitmap.all_set(i, 1), set);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, BitmapTest, ::testing::Range<std::uint64_t>(0, 8));

}  // namespace
}  // namespace ashlar::store
