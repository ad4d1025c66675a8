// Bytes that a seed stands for.
#pragma once

#include <cstddef>
#include <string>

namespace ashlar::volume::testing {

[[nodiscard]] std::string pattern(std::size_t length, unsigned seed);

}  // namespace ashlar::volume::testing
