// What every queue, real or double, demands of an operation before it starts.
#pragma once

#include <optional>

#include "blockio/geometry.h"
#include "blockio/io_op.h"

namespace ashlar::blockio {

// nullopt when the operation may start; else misaligned, beyond_device, read_only or invalid_argument.
[[nodiscard]] std::optional<ErrorCode> check_request(const Geometry& geometry, const IoOp& op) noexcept;

}  // namespace ashlar::blockio
