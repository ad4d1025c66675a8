// What the operations of a volume take and give.
#pragma once

#include <sys/types.h>
#include <time.h>

#include <cstdint>
#include <functional>
#include <string_view>

#include "blockio/io_queue.h"
#include "fs/base/types.h"

namespace ashlar::volume {

// Of one operation: whose queue it may wait on, who asks, and what time it is. Permissions were checked above (the
// kernel does).
struct Context {
  blockio::IoQueue& io;
  timespec now{};
  uid_t uid = 0;
  gid_t gid = 0;
  mode_t umask = 0;  // of what is made where no default access control list stands
  // Whether the caller is in a group, or may do as if (CAP_FSETID). It may take system calls, so it is asked only where
  // it matters. Empty: root may, and whose only group it is.
  std::function<bool(gid_t)> in_group = {};
  // Changes of contents move no times: the caller keeps those of files, and brings them through set_attributes().
  bool brings_times = false;
};

// Who waits for a write: a caller, who is told whether the device took the data; or, of what the kernel's page cache
// brings home later, nobody, so that small pieces may be gathered and their failure shows at the next sync. What a
// write takes away (security.capability) has been removed then.
enum class WriteOrigin : std::uint8_t { caller, page_cache };

// When reading moves access times: as noatime, relatime and strictatime of mount(8).
enum class AccessTimes : std::uint8_t { never, relative, always };

// As stat(2) and statx(2) have them.
struct Attributes {
  InodeNumber inode;
  Generation generation;  // stays the same; no other inode that ever had the number has it
  std::uint32_t mode = 0;
  std::uint32_t links = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint64_t size = 0;
  std::uint64_t blocks = 0;  // of 512 bytes
  std::uint32_t device = 0;
  std::uint32_t flags = 0;  // FS_*_FL
  timespec accessed{};
  timespec modified{};
  timespec changed{};
  timespec born{};
};

// What setattr changes; times given as values (the edge has turned UTIME_NOW into Context::now).
struct AttributeChange {
  enum Field : std::uint32_t {
    mode_field = 1,
    uid_field = 2,
    gid_field = 4,
    size_field = 8,
    accessed_field = 16,
    modified_field = 32,
    changed_field = 64,
    clear_suid_sgid = 128,  // FATTR_KILL_SUIDGID: on truncate or chown by an unprivileged caller
    from_open_file = 256,   // FATTR_FH: ftruncate(2), or the kernel brings home the times of what was written
  };
  std::uint32_t fields = 0;
  std::uint32_t mode = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint64_t size = 0;
  timespec accessed{};
  timespec modified{};
  timespec changed{};

  [[nodiscard]] bool has(Field field) const noexcept { return (fields & field) != 0; }
};

struct NewNode {
  std::uint32_t mode = 0;    // type and permissions, the umask not applied
  std::uint32_t device = 0;  // for device nodes
};

struct DirectoryEntry {
  InodeNumber inode;
  std::uint8_t type = 0;       // DT_*
  std::string_view name;       // valid during the visit
  std::uint64_t position = 0;  // give it back to continue after this entry
};

struct VolumeSpace {
  std::uint32_t block_size = 0;
  std::uint64_t blocks = 0;
  std::uint64_t free = 0;
  std::uint64_t available = 0;
  std::uint64_t inodes = 0;       // in use
  std::uint64_t inodes_free = 0;  // an estimate: bounded by space
};

}  // namespace ashlar::volume
