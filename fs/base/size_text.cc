#include "fs/base/size_text.h"

#include <fmt/format.h>

#include <array>
#include <cstddef>

namespace ashlar {

std::string size_text(std::uint64_t bytes) {
  constexpr std::array kUnits = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  std::size_t unit = 0;
  std::uint64_t whole = bytes;
  std::uint64_t rest = 0;  // of the next smaller unit, below 1024
  while (whole >= 1024) {
    rest = whole % 1024;
    whole /= 1024;
    ++unit;
  }
  if (rest == 0 || whole >= 100) return fmt::format("{} {}", whole, kUnits[unit]);
  // Rounded down: a volume is never said to hold more than it does.
  if (whole >= 10) return fmt::format("{}.{} {}", whole, rest * 10 / 1024, kUnits[unit]);
  return fmt::format("{}.{:02} {}", whole, rest * 100 / 1024, kUnits[unit]);
}

}  // namespace ashlar
