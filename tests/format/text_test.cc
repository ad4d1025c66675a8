#include "fs/format/text.h"

#include <gtest/gtest.h>

#include <cstring>

#include "tests/format/samples.h"

namespace ashlar::format {
namespace {

TEST(TextTest, Uuid) { EXPECT_EQ(uuid_text(testing::kUuid), "01020304-0506-0708-090a-0b0c0d0e0f10"); }

TEST(TextTest, ALabelIsCutAtNulAndMadeHarmless) {
  Superblock superblock{};
  std::memcpy(superblock.label, "da\x1b[ta\0x", 9);
  EXPECT_EQ(label_text(superblock), "da?[ta");
  std::memset(superblock.label, 'L', sizeof superblock.label);
  EXPECT_EQ(label_text(superblock).size(), kLabelSize);
}

TEST(TextTest, NothingIsACommandToATerminal) {
  EXPECT_EQ(printable("a\x1b[2J\x7f\n"), "a?[2J??");
  EXPECT_EQ(printable("\xc3\xbc \xe2\x82\xac \xc2\xa0"), "\xc3\xbc \xe2\x82\xac \xc2\xa0");
  EXPECT_EQ(printable("a\xc2\x9b"
                      "2J\xc2\x80"),
            "a?2J?");  // CSI in UTF-8
  EXPECT_EQ(printable("a\x9b"
                      "2J Gr\xfcn"),
            "a?2J Gr\xfcn");  // and in Latin-1
  EXPECT_EQ(printable("\xc2"), "\xc2");
}

TEST(TextTest, AReasonIsPrintableAscii) {
  FailureItem failure{};
  EXPECT_EQ(reason_text(failure), "");
  std::memcpy(failure.reason, "a\x1b[2J\x7f\n\x9b\xc2\x9b\xff~ b\0x", 16);
  EXPECT_EQ(reason_text(failure), "a?[2J??????~ b");
  std::memset(failure.reason, 'r', sizeof failure.reason);
  EXPECT_EQ(reason_text(failure), std::string(kReasonSize, 'r'));
}

TEST(TextTest, Sizes) {
  EXPECT_EQ(size_text(0), "0 bytes");
  EXPECT_EQ(size_text(1023), "1023 bytes");
  EXPECT_EQ(size_text(16384), "16 KiB");
  EXPECT_EQ(size_text(1536ULL << 20), "1.50 GiB");
  EXPECT_EQ(size_text((1ULL << 40) - 1), "1023 GiB");
  EXPECT_EQ(size_text(~0ULL), "15.9 EiB");
}

TEST(TextTest, Counts) {
  EXPECT_EQ(count_text(0, "group"), "0 groups");
  EXPECT_EQ(count_text(1, "group"), "1 group");
  EXPECT_EQ(count_text(1, "directory", "directories"), "1 directory");
  EXPECT_EQ(count_text(2, "directory", "directories"), "2 directories");
}

TEST(TextTest, Utf8) {
  for (const char* good : {"", "plain", "\xc3\xbcst", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(is_utf8(good)) << good;
  }
  // Latin-1, a byte alone, cut off, longer than need be, a surrogate, past the last one.
  for (const char* bad : {"Gr\xfcn", "\x80", "\xc3", "\xe2\x82", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80",
                          "\xf0\x80\x80\xaf", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xff"}) {
    EXPECT_FALSE(is_utf8(bad));
  }
}

TEST(TextTest, Features) {
  EXPECT_EQ(feature_text(FeatureWord::compatible, 0), "none");
  EXPECT_EQ(feature_text(FeatureWord::compatible, 1ULL << 63 | 2), "bit 1, bit 63");
  EXPECT_EQ(feature_text(FeatureWord::compatible, kUserUuid), "user_uuid");
  EXPECT_EQ(feature_text(FeatureWord::read_only_compatible, 5), "mmp, bit 2");
  EXPECT_EQ(feature_text(FeatureWord::incompatible, 1), "bit 0");
}

}  // namespace
}  // namespace ashlar::format
