// What every operation does with a request: where its volume is, in whose name it asks, and how it is answered.
#pragma once

#include <fuse_lowlevel.h>
#include <linux/fuse.h>

#include <functional>
#include <memory>
#include <string>

#include "fs/base/result.h"
#include "fs/fuse/late_errors.h"
#include "fs/fuse/request_gate.h"
#include "fs/fuse/worker.h"
#include "fs/volume/volume.h"

namespace ashlar::fuse {

// What the session hands to every operation.
struct Edge {
  volume::Volume& volume;
  std::function<std::string()> status;  // JSON for ashlarctl
  int connection = -1;                  // the session's descriptor, for notifications
  std::unique_ptr<LateErrors> late_errors = std::make_unique<LateErrors>();
  std::unique_ptr<RequestGate> gate = std::make_unique<RequestGate>();
};

[[nodiscard]] Edge& edge_of(fuse_req_t request) noexcept;
[[nodiscard]] inline volume::Volume& volume_of(fuse_req_t request) noexcept { return edge_of(request).volume; }
// For use until the request is answered.
[[nodiscard]] volume::Context context_of(fuse_req_t request);
// What inodes are stamped with: the kernel's own clock for that. With write-back caching it stamps some changes itself,
// and a finer clock here would be ahead of those that come after.
[[nodiscard]] timespec time_now() noexcept;

// The request as the kernel sent it: for fields that libfuse does not pass on.
template <typename Body>
[[nodiscard]] const Body& raw_body() noexcept {
  return *reinterpret_cast<const Body*>(Worker::current().transport().request() + sizeof(fuse_in_header));
}

// Nobody else changes the volume, so what the kernel was told stays true.
inline constexpr double kForever = 1e9;  // seconds

[[nodiscard]] struct stat to_stat(const volume::Attributes& attributes) noexcept;
[[nodiscard]] fuse_entry_param to_entry(const volume::Attributes& attributes) noexcept;

// Has the kernel write what it holds of a file, and forget it. Other workers serve those writes meanwhile: busy when
// too many wait here already.
[[nodiscard]] Status bring_home(Edge& edge, InodeNumber inode, Crew::Need need);

// Answers. Errors that a request cannot be told are not the daemon's: the requester was interrupted or the connection
// is gone.
void reply_error(fuse_req_t request, const Error& error) noexcept;
void reply(fuse_req_t request, const Status& status) noexcept;
void reply_entry(fuse_req_t request, const Result<volume::Attributes>& attributes) noexcept;
void reply_attributes(fuse_req_t request, const Result<volume::Attributes>& attributes) noexcept;

}  // namespace ashlar::fuse
