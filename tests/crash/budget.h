// How much the crash tests do: what fits into every run of the suite, or more when asked.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

namespace ashlar::crash_test {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif
#else
inline constexpr bool kSanitized = false;
#endif

// ASHLAR_CRASH_SCALE multiplies the work (1: the suite's); under a sanitizer it is a fraction.
[[nodiscard]] inline std::uint64_t scale() {
  const char* const text = std::getenv("ASHLAR_CRASH_SCALE");
  return text == nullptr ? 1 : std::stoull(text);
}

[[nodiscard]] inline std::uint64_t scaled(std::uint64_t usual, std::uint64_t sanitized) {
  return (kSanitized ? sanitized : usual) * scale();
}

// ASHLAR_CRASH_SEED begins the sequence of seeds elsewhere.
[[nodiscard]] inline std::uint64_t first_seed() {
  const char* const text = std::getenv("ASHLAR_CRASH_SEED");
  return text == nullptr ? 1 : std::stoull(text);
}

}  // namespace ashlar::crash_test
