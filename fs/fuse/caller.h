// What a request does not say of who makes it, from /proc.
#pragma once

#include <fuse_lowlevel.h>
#include <sys/types.h>

#include "fs/base/result.h"

namespace ashlar::fuse {

// Whether the caller has a capability (CAP_* of linux/capability.h) that counts here, in the daemon's own user
// namespace. Of a caller whose process cannot be seen from here: whether it is root.
[[nodiscard]] bool has_capability(fuse_req_t request, unsigned capability);

// not_permitted unless the caller is the owner, or may do as if (CAP_FOWNER).
[[nodiscard]] Status require_owner(fuse_req_t request, uid_t owner);

// Whether a group is the caller's, or one of its supplementary ones.
[[nodiscard]] bool is_in_group(fuse_req_t request, gid_t group);

}  // namespace ashlar::fuse
