// What an ioctl's caller hands over, and what it gets back, as a structure.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <type_traits>

#include "fs/fuse/request.h"

namespace ashlar::fuse {

template <typename Value>
[[nodiscard]] Result<Value> read_argument(std::span<const std::byte> input) {
  static_assert(std::is_trivially_copyable_v<Value>);
  Value value;
  if (input.size() < sizeof value) return fail(ErrorCode::invalid_argument);
  std::memcpy(&value, input.data(), sizeof value);
  return value;
}

template <typename Value>
void reply_value(fuse_req_t request, const Result<Value>& value) {
  if (!value) return reply_error(request, value.error());
  static_cast<void>(fuse_reply_ioctl(request, 0, &*value, sizeof *value));
}

// The argument is the answer as well: `step` (Status of Exchange&) turns the one into the other.
template <typename Exchange, typename Step>
void answer_exchange(fuse_req_t request, std::span<const std::byte> input, Step step) {
  Result<Exchange> exchange = read_argument<Exchange>(input);
  if (exchange) {
    if (Status done = step(*exchange); !done) exchange = fail(std::move(done).error());
  }
  reply_value(request, exchange);
}

}  // namespace ashlar::fuse
