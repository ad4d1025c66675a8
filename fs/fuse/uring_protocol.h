// FUSE over io_uring as the kernel speaks it from 6.14 on (include/uapi/linux/fuse.h, minor version 42), which Debian
// 12's headers do not have yet.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ashlar::fuse {

// In the INIT reply; of the second flags word.
inline constexpr std::uint32_t kInitFlags2OverIoUring = 1U << 9;

enum class UringCommand : std::uint32_t { register_entry = 1, commit_and_fetch = 2 };

// In the submission's 80 bytes for commands.
struct UringCommandRequest {
  std::uint64_t flags;
  std::uint64_t commit_id;  // of the request that is answered
  std::uint16_t queue;      // the processor's number
  std::uint8_t padding[6];
};
static_assert(sizeof(UringCommandRequest) == 24);

struct UringEntryInOut {
  std::uint64_t flags;
  std::uint64_t commit_id;
  std::uint32_t payload_size;  // in bytes, of the request or the answer
  std::uint32_t padding;
  std::uint64_t reserved;
};
static_assert(sizeof(UringEntryInOut) == 32);

// Shared with the kernel: where it puts a request's headers and finds the answer's.
struct UringHeaders {
  std::byte in_out[128];     // fuse_in_header, or fuse_out_header
  std::byte operation[128];  // the request's structure, fuse_write_in for instance
  UringEntryInOut entry;
};
static_assert(sizeof(UringHeaders) == 288);
static_assert(offsetof(UringHeaders, entry) == 256);

}  // namespace ashlar::fuse
