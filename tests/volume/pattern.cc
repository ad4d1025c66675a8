#include "tests/volume/pattern.h"

#include <cstdint>

namespace ashlar::volume::testing {

std::string pattern(std::size_t length, unsigned seed) {
  std::string text(length, '\0');
  std::uint64_t state = seed * 0x9e37'79b9'7f4a'7c15ULL + 1;
  for (char& c : text) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    c = static_cast<char>(state & 0xff);
  }
  return text;
}

}  // namespace ashlar::volume::testing
