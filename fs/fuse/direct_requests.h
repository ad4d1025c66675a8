// Requests that libfuse 3.14 does not know (SYNCFS, TMPFILE, STATX) or does not handle as rings need it (INTERRUPT).
#pragma once

#include <cstddef>
#include <span>

#include "fs/fuse/request.h"
#include "fs/fuse/worker.h"

namespace ashlar::fuse {

// Answers or drops a request of such a kind; false: it is libfuse's. DESTROY is libfuse's too, after all was made
// durable.
[[nodiscard]] bool answer_directly(Edge& edge, Worker& worker, std::span<const std::byte> request);

}  // namespace ashlar::fuse
