#include "fs/format/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace ashlar::format {
namespace {

std::string_view feature_name(FeatureWord word, std::uint64_t feature) noexcept {
  if (word == FeatureWord::compatible && feature == kUserUuid) return "user_uuid";
  if (word == FeatureWord::read_only_compatible && feature == kHostClaims) return "mmp";
  return {};
}

}  // namespace

std::string uuid_text(std::span<const std::uint8_t, 16> uuid) {
  std::string text;
  for (std::size_t i = 0; i < uuid.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text.push_back('-');
    text += fmt::format("{:02x}", uuid[i]);
  }
  return text;
}

std::string printable(std::string_view text) {
  std::string result(text);
  std::replace_if(
      result.begin(), result.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return result;
}

std::string label_text(const Superblock& superblock) {
  const std::string_view padded(superblock.label, kLabelSize);
  return printable(padded.substr(0, padded.find('\0')));
}

std::string reason_text(const FailureItem& failure) {
  const std::string_view padded(failure.reason, kReasonSize);
  std::string text(padded.substr(0, padded.find('\0')));
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return text;
}

std::string size_text(std::uint64_t bytes) {
  constexpr std::array kUnits = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  std::size_t unit = 0;
  std::uint64_t whole = bytes;
  std::uint64_t rest = 0;  // of the next smaller unit, below 1024
  while (whole >= 1024) {
    rest = whole % 1024;
    whole /= 1024;
    ++unit;
  }
  if (rest == 0 || whole >= 100) return fmt::format("{} {}", whole, kUnits[unit]);
  // Rounded down: a volume is never said to hold more than it does.
  if (whole >= 10) return fmt::format("{}.{} {}", whole, rest * 10 / 1024, kUnits[unit]);
  return fmt::format("{}.{:02} {}", whole, rest * 100 / 1024, kUnits[unit]);
}

std::string count_text(std::uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string feature_text(FeatureWord word, std::uint64_t features) {
  std::string text;
  for (unsigned bit = 0; bit < 64; ++bit) {
    if ((features >> bit & 1) == 0) continue;
    if (!text.empty()) text += ", ";
    const std::string_view name = feature_name(word, 1ULL << bit);
    text += name.empty() ? fmt::format("bit {}", bit) : name;
  }
  return text.empty() ? "none" : text;
}

}  // namespace ashlar::format
