// Result<T>: a value or an Error. The only way failures cross our interfaces.
#pragma once

#include <tl/expected.hpp>
#include <utility>

#include "fs/base/error.h"

namespace ashlar {

template <typename T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

// `return fail(ErrorCode::no_space);` or with a detail for people.
[[nodiscard]] inline tl::unexpected<Error> fail(ErrorCode code) { return tl::unexpected<Error>(Error(code)); }
[[nodiscard]] inline tl::unexpected<Error> fail(ErrorCode code, std::string detail) {
  return tl::unexpected<Error>(Error(code, std::move(detail)));
}
[[nodiscard]] inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

// The value of a result that has one; nothing for a Status. What TRY ends in: unlike value() it has no throwing branch,
// which would need to copy the error.
template <typename T>
T take_value(Result<T>&& result) {
  return *std::move(result);
}
inline void take_value(Status&& status) { static_cast<void>(status); }

}  // namespace ashlar

// Evaluates to the value of `expression`, or returns its error from the enclosing function.
// A GNU statement expression, which g++ and clang both have.
#define TRY(expression)                                                               \
  ({                                                                                  \
    auto ashlar_try_result = (expression);                                            \
    if (!ashlar_try_result) [[unlikely]]                                              \
      return ::tl::unexpected<::ashlar::Error>(std::move(ashlar_try_result).error()); \
    ::ashlar::take_value(std::move(ashlar_try_result));                               \
  })
