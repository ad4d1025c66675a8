#include "fs/format/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

namespace ashlar::format {

std::string uuid_text(const std::uint8_t (&uuid)[16]) {
  std::string text;
  for (std::size_t i = 0; i < sizeof uuid; ++i) {
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
    const bool has_name = word == FeatureWord::read_only_compatible && 1ULL << bit == kHostClaims;
    text += has_name ? "mmp" : fmt::format("bit {}", bit);
  }
  return text.empty() ? "none" : text;
}

std::optional<std::uint64_t> parse_size(const std::string& text) {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc()) return std::nullopt;
  std::string suffix(rest, end);
  if (suffix.empty() || suffix == "B") return number;
  constexpr std::string_view kUnits = "KMGTP";
  const auto unit = kUnits.find(static_cast<char>(suffix.front() & ~0x20));  // either case
  suffix.erase(0, 1);
  if (unit == std::string_view::npos || (!suffix.empty() && suffix != "B" && suffix != "iB")) return std::nullopt;
  const unsigned shift = 10 * (static_cast<unsigned>(unit) + 1);
  if (number > std::numeric_limits<std::uint64_t>::max() >> shift) return std::nullopt;
  return number << shift;
}

}  // namespace ashlar::format
