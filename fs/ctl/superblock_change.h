// What is written into the superblock of a volume that is not mounted.
#pragma once

#include <absl/functional/function_ref.h>

#include <string>

#include "fs/base/result.h"
#include "fs/format/superblock.h"

namespace ashlar::ctl {

// As the daemon does it: in the superblock that is in force, under the lock and the claim that keep daemons away.
// Errors name the device or image; `doing` ("writing the label") stands in those of the write.
[[nodiscard]] Status change_superblock(const std::string& path, const char* doing,
                                       absl::FunctionRef<void(format::Superblock&)> change);

}  // namespace ashlar::ctl
