// Answers the ioctl of extent_protocol.h.
#pragma once

#include <cstddef>
#include <span>

#include "fs/fuse/extent_protocol.h"
#include "fs/fuse/request.h"

namespace ashlar::fuse {

void answer_extents(fuse_req_t request, InodeNumber inode, std::span<const std::byte> input);

}  // namespace ashlar::fuse
