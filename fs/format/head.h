// Structures at the start of bytes that need not be aligned for them.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <type_traits>

namespace ashlar::format {

// The fixed head of an entry, item or record at the start of `bytes`, which hold it whole.
template <typename Head>
[[nodiscard]] Head head_of(std::span<const std::byte> bytes) noexcept {
  static_assert(std::is_trivially_copyable_v<Head>);
  Head head;
  std::memcpy(&head, bytes.data(), sizeof head);
  return head;
}

}  // namespace ashlar::format
