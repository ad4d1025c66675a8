// Places in a volume that something on it names, checked or found by its layout.
#pragma once

#include "fs/format/layout.h"

namespace ashlar::format {

// The largest log that is accepted: a mount after a crash may have to read all of it.
inline constexpr std::uint64_t kMaxLogBytes = 1ULL << 30;

// Whether the copies of a tree node can lie where a pointer says: corrupt_structure when one is not in the volume, is
// over a fixed part, or shares blocks with the other. Nothing may be written to such a place.
[[nodiscard]] Status check_node_places(const Layout& layout, const BlockNumber (&address)[kCopies]);

// The block of the log's area in which an LSN lies.
[[nodiscard]] BlockNumber log_block(const Layout& layout, Lsn lsn) noexcept;

}  // namespace ashlar::format
