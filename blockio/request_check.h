// What every queue, real or double, demands of an operation before it starts.
#pragma once

#include <optional>

#include "blockio/geometry.h"
#include "blockio/io_op.h"
#include "blockio/queue_config.h"
#include "fs/base/result.h"

namespace ashlar::blockio {

// nullopt when the operation may start; else misaligned, beyond_device, read_only or invalid_argument.
[[nodiscard]] std::optional<ErrorCode> check_request(const Geometry& geometry, const IoOp& op) noexcept;

// invalid_argument unless the depth is within its limits.
[[nodiscard]] Status check_depth(std::uint32_t depth);

}  // namespace ashlar::blockio
