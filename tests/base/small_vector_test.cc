#include "fs/base/small_vector.h"

#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "fs/base/function_ref.h"

namespace ashlar {
namespace {

// Can be moved, not copied.
struct Counted {
  explicit Counted(int number) : value(std::make_unique<int>(number)) {}
  std::unique_ptr<int> value;
};

template <typename T, std::size_t Inline>
std::vector<T> copy_of(const SmallVector<T, Inline>& vector) {
  return {vector.begin(), vector.end()};
}

TEST(SmallVectorTest, DoesWhatAVectorDoes) {
  std::mt19937 random(1);
  SmallVector<int, 3> small;
  std::vector<int> model;
  for (int i = 0; i < 10'000; ++i) {
    const std::size_t at = model.empty() ? 0 : random() % model.size();
    const auto offset = static_cast<std::ptrdiff_t>(at);
    switch (random() % 7) {
      case 0:
      case 1:
        small.push_back(i);
        model.push_back(i);
        break;
      case 2:
        EXPECT_EQ(*small.insert(small.begin() + offset, i), i);
        model.insert(model.begin() + offset, i);
        break;
      case 3:
        if (model.empty()) break;
        EXPECT_EQ(small.erase(small.begin() + offset) - small.begin(), offset);
        model.erase(model.begin() + offset);
        break;
      case 4: {
        const std::size_t size = random() % 12;
        small.resize(size);
        model.resize(size);
        break;
      }
      case 5: {
        const std::vector<int> more(random() % 4, i);
        small.append(more.begin(), more.end());
        model.insert(model.end(), more.begin(), more.end());
        break;
      }
      default:
        if (random() % 10 != 0) break;
        small.clear();
        model.clear();
    }
    ASSERT_EQ(copy_of(small), model);
    ASSERT_EQ(small.empty(), model.empty());
    if (!model.empty()) {
      ASSERT_EQ(small.back(), model.back());
    }
  }
}

TEST(SmallVectorTest, CopiesAreTheirOwn) {
  for (const std::size_t size : {0U, 2U, 3U, 4U, 50U}) {
    SmallVector<int, 3> from;
    from.resize(size);
    std::iota(from.begin(), from.end(), 7);
    SmallVector<int, 3> constructed(from);
    SmallVector<int, 3> assigned;
    assigned.resize(20);
    assigned = from;
    const std::vector<int> before = copy_of(from);
    for (int& element : from) element = 0;
    EXPECT_EQ(copy_of(constructed), before);
    EXPECT_EQ(copy_of(assigned), before);
  }
}

TEST(SmallVectorTest, MovedFromIsEmptyAndUsable) {
  for (const int size : {0, 2, 3, 4, 50}) {
    SmallVector<Counted, 3> from;
    for (int i = 0; i < size; ++i) from.push_back(Counted(i));
    SmallVector<Counted, 3> to(std::move(from));
    EXPECT_TRUE(from.empty());  // NOLINT(bugprone-use-after-move): that is what is tested
    ASSERT_EQ(to.size(), static_cast<std::size_t>(size));
    from.push_back(Counted(100));
    to = std::move(from);
    ASSERT_EQ(to.size(), 1U);
    EXPECT_EQ(*to[0].value, 100);
  }
}

TEST(FunctionRefTest, CallsWhatItRefersTo) {
  const auto apply = [](FunctionRef<int(int, std::unique_ptr<int>)> function) {
    return function(3, std::make_unique<int>(4));
  };
  int calls = 0;
  EXPECT_EQ(apply([&calls](int a, std::unique_ptr<int> b) {
              ++calls;
              return 10 * a + *b;
            }),
            34);
  const auto constant = [](int a, const std::unique_ptr<int>& b) { return a - *b; };
  EXPECT_EQ(apply(constant), -1);
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace ashlar
