// Threads that need not be had: std::thread throws where a limit of processes or memory is met.
#pragma once

#include <fmt/core.h>

#include <system_error>
#include <thread>
#include <utility>

#include "fs/base/result.h"

namespace ashlar {

// A thread that runs `work`, or why there is none.
template <typename Work>
[[nodiscard]] Result<std::thread> start_thread(Work work) {
  try {
    return std::thread(std::move(work));
  } catch (const std::system_error& error) {
    return fail(from_errno(error.code().value()), fmt::format("no thread to be had: {}", error.code().message()));
  }
}

}  // namespace ashlar
