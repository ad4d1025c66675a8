// The names in a few directories, without reading all of the tree.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "fs/format/items.h"
#include "fsck/context.h"

namespace ashlar::fsck {

using NameVisitor = std::function<void(std::uint64_t directory, const format::Dirent& entry)>;

// `next` says which is the first directory of interest that is not below a number, if any. Names of others may be shown
// as well.
[[nodiscard]] Status read_names(CheckContext& reading,
                                const std::function<std::optional<std::uint64_t>(std::uint64_t)>& next,
                                const NameVisitor& visit);

}  // namespace ashlar::fsck
