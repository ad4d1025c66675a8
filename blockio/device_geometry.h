// Asks the kernel what a device can do.
#pragma once

#include "blockio/geometry.h"
#include "fs/base/result.h"

namespace ashlar::blockio {

// Of an open block device or regular file; the whole of it, without a window.
[[nodiscard]] Result<Geometry> read_geometry(int descriptor);

}  // namespace ashlar::blockio
