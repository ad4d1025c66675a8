// Numbers of bytes for people.
#pragma once

#include <cstdint>
#include <string>

namespace ashlar {

// "16 KiB", "1.5 GiB": three digits at least, the largest unit that leaves 1 or more.
[[nodiscard]] std::string size_text(std::uint64_t bytes);

}  // namespace ashlar
