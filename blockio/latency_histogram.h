// How long operations took, to within a quarter of an octave. Written by one thread, read by any.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace ashlar::blockio {

// A number that one thread counts up and others may read: plain loads and stores, no locked instruction.
class Counter {
 public:
  void add(std::uint64_t amount) noexcept { value_.store(get() + amount, std::memory_order_relaxed); }
  void raise_to(std::uint64_t value) noexcept {
    if (value > get()) value_.store(value, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

class LatencyHistogram {
 public:
  // Bucket 0 is everything below 2^kFirstOctave ns (half a microsecond), the last one everything from 2^kLastOctave ns
  // (a minute) on; between them four to an octave.
  static constexpr unsigned kFirstOctave = 9;
  static constexpr unsigned kLastOctave = 36;
  static constexpr unsigned kParts = 4;
  static constexpr std::size_t kBuckets = (kLastOctave - kFirstOctave) * kParts + 2;

  void add(std::uint64_t nanoseconds) noexcept { buckets_[bucket_of(nanoseconds)].add(1); }
  void merge(const LatencyHistogram& other) noexcept;

  [[nodiscard]] std::uint64_t count() const noexcept;
  [[nodiscard]] std::uint64_t in_bucket(std::size_t bucket) const noexcept { return buckets_[bucket].get(); }
  // The least time that a `fraction` (0 to 1) of the operations did not exceed, rounded up to its bucket's end; 0 when
  // there were none.
  [[nodiscard]] std::chrono::nanoseconds quantile(double fraction) const noexcept;

  [[nodiscard]] static std::size_t bucket_of(std::uint64_t nanoseconds) noexcept {
    if (nanoseconds < (1ULL << kFirstOctave)) return 0;
    const auto octave = static_cast<unsigned>(std::bit_width(nanoseconds)) - 1;
    if (octave >= kLastOctave) return kBuckets - 1;
    const auto part = static_cast<unsigned>(nanoseconds >> (octave - 2)) % kParts;
    return std::size_t{(octave - kFirstOctave) * kParts + part + 1};
  }
  // The first time that is past the bucket, in nanoseconds; of the last one its beginning.
  [[nodiscard]] static std::uint64_t end_of(std::size_t bucket) noexcept;

 private:
  std::array<Counter, kBuckets> buckets_;
};

}  // namespace ashlar::blockio
