// Answers the ioctl of resize_protocol.h.
#pragma once

#include <cstddef>
#include <span>

#include "fs/fuse/request.h"
#include "fs/fuse/resize_protocol.h"

namespace ashlar::fuse {

// The caller has been found privileged.
void answer_resize(fuse_req_t request, InodeNumber inode, std::span<const std::byte> input);

}  // namespace ashlar::fuse
