// Requests that libfuse 3.14 does not know (SYNCFS, TMPFILE, STATX), does not handle as rings need it (INTERRUPT), or
// is not to answer before the volume is finished (DESTROY).
#pragma once

#include <cstddef>
#include <span>

#include "fs/fuse/request.h"
#include "fs/fuse/worker.h"

namespace ashlar::fuse {

// Answers or drops a request of such a kind; false: it is libfuse's. The caller has a pass of the edge's gate.
[[nodiscard]] bool answer_directly(Edge& edge, Worker& worker, std::span<const std::byte> request);

// Answers or drops a request that has no pass.
void refuse(Worker& worker, std::span<const std::byte> request);

}  // namespace ashlar::fuse
