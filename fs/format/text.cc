#include "fs/format/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>

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
  // From 0x80 to 0x9f lies a second set of commands: as characters of two bytes in UTF-8, else as bytes.
  const auto is_second_command = [](char c) {
    return static_cast<unsigned char>(c) >= 0x80 && static_cast<unsigned char>(c) < 0xa0;
  };
  const bool utf8 = is_utf8(text);
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool has_two_bytes = utf8 && c == '\xc2' && is_second_command(text[i + 1]);
    const bool is_command = (c >= 0 && c < 0x20) || c == 0x7f || has_two_bytes || (!utf8 && is_second_command(c));
    result.push_back(is_command ? '?' : c);
    if (has_two_bytes) ++i;
  }
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

std::string count_text(std::uint64_t count, std::string_view noun, std::string_view plural) {
  if (count == 1) return fmt::format("1 {}", noun);
  return plural.empty() ? fmt::format("{} {}s", count, noun) : fmt::format("{} {}", count, plural);
}

bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const auto first = static_cast<unsigned char>(text.front());
    const std::size_t length = first < 0x80   ? 1
                               : first < 0xc2 ? 0
                               : first < 0xe0 ? 2
                               : first < 0xf0 ? 3
                               : first < 0xf5 ? 4
                                              : 0;
    if (length == 0 || text.size() < length) return false;
    for (std::size_t i = 1; i < length; ++i) {
      if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) return false;
    }
    // Longer than need be, a surrogate, or past the last code point.
    const auto second = static_cast<unsigned char>(length > 1 ? text[1] : '\0');
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) || (first == 0xf0 && second < 0x90) ||
        (first == 0xf4 && second > 0x8f)) {
      return false;
    }
    text.remove_prefix(length);
  }
  return true;
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
