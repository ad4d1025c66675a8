// Text forms of what the format holds, for messages and tools.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "fs/format/superblock.h"

namespace ashlar::format {

// "c6f4e1a2-..."
[[nodiscard]] std::string uuid_text(const std::uint8_t (&uuid)[16]);

// Control characters replaced by '?'.
[[nodiscard]] std::string printable(std::string_view text);

// The label up to its first NUL, with control characters replaced by '?': a hostile label must not reach a terminal.
[[nodiscard]] std::string label_text(const Superblock& superblock);

// Why the volume stopped, up to the first NUL, with '?' for all that is not printable ASCII.
[[nodiscard]] std::string reason_text(const FailureItem& failure);

// "16 KiB", "1.5 GiB": three digits at least, the largest unit that leaves 1 or more.
[[nodiscard]] std::string size_text(std::uint64_t bytes);

// Bytes, or with a suffix (K, M, G, T, P in either case, also as KB or KiB: powers of 1024): what users give as a size.
[[nodiscard]] std::optional<std::uint64_t> parse_size(const std::string& text);

// "1 group", "2 groups".
[[nodiscard]] std::string count_text(std::uint64_t count, std::string_view noun);

// The set bits of one of the three feature words: names joined by commas, "bit 7" for unknown ones, "none" for 0.
enum class FeatureWord : std::uint8_t { compatible, read_only_compatible, incompatible };
[[nodiscard]] std::string feature_text(FeatureWord word, std::uint64_t features);

}  // namespace ashlar::format
