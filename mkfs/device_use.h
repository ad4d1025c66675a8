// Whether a device or image is in use: mounted, or behind a loop device.
#pragma once

#include <optional>
#include <string>

#include "fs/base/result.h"

namespace ashlar::mkfs {

// For people: "is mounted at /mnt", "is attached to /dev/loop0"; nullopt when nothing of that kind is known.
// That it is not open elsewhere is for the open to find out.
[[nodiscard]] Result<std::optional<std::string>> describe_use(const std::string& path);

}  // namespace ashlar::mkfs
