// Answers the ioctl of scrub_protocol.h.
#pragma once

#include <cstddef>
#include <span>

#include "fs/fuse/request.h"
#include "fs/fuse/scrub_protocol.h"

namespace ashlar::fuse {

void answer_scrub(fuse_req_t request, InodeNumber inode, std::span<const std::byte> input);

}  // namespace ashlar::fuse
