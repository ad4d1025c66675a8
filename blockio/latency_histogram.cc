#include "blockio/latency_histogram.h"

#include <algorithm>
#include <cmath>

namespace ashlar::blockio {

void LatencyHistogram::merge(const LatencyHistogram& other) noexcept {
  for (std::size_t i = 0; i < kBuckets; ++i) buckets_[i].add(other.buckets_[i].get());
}

std::uint64_t LatencyHistogram::count() const noexcept {
  std::uint64_t sum = 0;
  for (const Counter& bucket : buckets_) sum += bucket.get();
  return sum;
}

std::uint64_t LatencyHistogram::end_of(std::size_t bucket) noexcept {
  const std::size_t steps = std::min(bucket, kBuckets - 2);
  const std::uint64_t octave_start = 1ULL << (kFirstOctave + steps / kParts);
  return octave_start + octave_start / kParts * (steps % kParts);
}

std::chrono::nanoseconds LatencyHistogram::quantile(double fraction) const noexcept {
  const std::uint64_t all = count();
  if (all == 0) return std::chrono::nanoseconds(0);
  const auto wanted = std::max<std::uint64_t>(
      1, static_cast<std::uint64_t>(std::ceil(std::clamp(fraction, 0.0, 1.0) * static_cast<double>(all))));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += in_bucket(i);
    if (seen >= wanted) return std::chrono::nanoseconds(end_of(i));
  }
  return std::chrono::nanoseconds(end_of(kBuckets - 1));
}

}  // namespace ashlar::blockio
