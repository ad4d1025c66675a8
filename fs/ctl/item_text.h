// Items of the tree as text.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "fs/format/key.h"

namespace ashlar::ctl {

// "inode", "dirent", ...; "kind 12" for those this version does not know.
[[nodiscard]] std::string kind_text(format::ItemKind kind);

// Any bytes, between quotes, safe for a terminal.
[[nodiscard]] std::string in_quotes(std::string_view text);

// "(7 dirent 0x1234)"
[[nodiscard]] std::string key_text(const format::Key& key);

// What an item's value says, or what is wrong with it, in one line that is safe for a terminal.
[[nodiscard]] std::string value_text(const format::Key& key, std::span<const std::byte> value,
                                     std::uint64_t block_count);

}  // namespace ashlar::ctl
