// What a daemon answers, which may be anybody's.
#include <gtest/gtest.h>

#include "fs/ctl/daemon_status.h"

namespace ashlar::ctl {
namespace {

TEST(DaemonStatus, IsAnObject) {
  const auto status = parse_status(R"({"label": "x", "io": {"operations": {"read": {"latency_ns": [[1, 2]]}}}})");
  ASSERT_TRUE(status);
  EXPECT_EQ((*status)["label"], "x");
  for (const char* text : {"", "{", "[]", "7", "null", "{\"a\": \"\xff\"}"}) EXPECT_FALSE(parse_status(text)) << text;
}

TEST(DaemonStatus, DoesNotGoDeep) {
  constexpr std::size_t kDepth = 32'000;  // with its end, as long as an attribute may be
  for (const char* end : {"", "]"}) {
    std::string text = "{\"a\":" + std::string(kDepth, '[');
    for (std::size_t i = 0; i < kDepth; ++i) text += end;
    EXPECT_FALSE(parse_status(text + "}"));
  }
}

}  // namespace
}  // namespace ashlar::ctl
