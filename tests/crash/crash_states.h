// What a power cut may have left of a recorded run, one state after the other.
#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "blockio/memory_device.h"
#include "blockio/recording_device.h"

namespace ashlar::crash_test {

// A state of the device.
struct CrashState {
  std::size_t events = 0;      // that had ended when the power went
  std::uint64_t identity = 0;  // of equal images equal
  bool boundary = false;       // all of these events in order, nothing lost
  std::string description;     // how to get there again
  const blockio::MemoryImage* image = nullptr;
};

// A device's cache may lose, keep, tear at sector grain and reorder what is not durable yet (which is that, the
// recording device says), and a durable write under way may have arrived without what it was to make durable. Visited
// are: every write boundary; every subset of few such writes; and of more, `variants` seeded choices of what is lost,
// torn and reordered. An order among writes shows only where they overlap: what arrives later in an order of the
// cache's own lies on top.
class CrashStates {
 public:
  // The device outlives this.
  CrashStates(const blockio::RecordingDevice& device, std::uint64_t seed);

  // `wanted` says by its identity whether a state's image is needed: it is made only then.
  using Wanted = std::function<bool(const CrashState&)>;
  // False ends the enumeration.
  using Visit = std::function<bool(const CrashState&)>;
  void enumerate(std::size_t variants, const Wanted& wanted, const Visit& visit);

  [[nodiscard]] std::size_t events() const noexcept { return events_.size(); }

 private:
  struct Sector {
    std::uint64_t index;
    std::uint64_t content;  // digest of place and contents
  };
  struct Event {
    blockio::RecordedEvent recorded;
    std::vector<Sector> sectors;
  };
  // A part of an event that arrived.
  struct Arrival {
    std::size_t event;
    std::uint64_t torn = 0;  // 0: whole; otherwise the seed of the choice of sectors
  };

  // What a sector holds: its content's digest, and the event that wrote it.
  struct Content {
    std::uint64_t digest = 0;
    std::size_t event = 0;
  };

  // `under_way`: the next event is a durable write that may have arrived already.
  [[nodiscard]] bool visit_window(std::size_t ended, bool under_way, std::size_t variants);
  [[nodiscard]] bool visit_choice(std::size_t ended, const std::vector<Arrival>& arrivals, const std::string& how,
                                  bool boundary);
  [[nodiscard]] std::vector<Arrival> choose(std::vector<Arrival> arrivals, std::string& how);
  // Of an arrival, those that nothing newer and durable has covered.
  template <typename Take>
  void for_each_sector(const Arrival& arrival, Take take) const;
  void write_sector(const Event& event, std::size_t index, blockio::MemoryImage& image) const;
  // Moves what has become durable into image_; the rest is pending_.
  void settle(std::size_t ended);

  const blockio::RecordingDevice& device_;
  std::uint64_t sector_size_;
  std::vector<Event> events_;
  std::mt19937_64 random_;
  std::uint64_t seed_;
  Wanted wanted_;
  Visit visit_;

  // All that is durable.
  blockio::MemoryImage image_;
  std::uint64_t identity_ = 0;
  std::unordered_map<std::uint64_t, Content> contents_;  // of sectors written so far

  std::size_t settled_ = 0;           // events that are either durable or pending
  std::vector<std::size_t> pending_;  // that write, in order
};

}  // namespace ashlar::crash_test
