// Reads of small files that lie beside each other, in large reads of the device.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

#include "blockio/aligned_buffer.h"
#include "blockio/io_queue.h"
#include "fs/base/types.h"
#include "fs/store/recent_places.h"
#include "fs/store/store.h"

namespace ashlar::volume {

class ExtentWindow;

// Files made one after the other lie one after the other, and are often read so: a tree that is packed, compiled or
// searched. When small reads come near each other on the device, what lies around is read with them and kept for a
// moment. Nothing is believed without its checksum, nor after any file data was written (DataEpoch). At most kParts of
// kPartBytes are kept, and what readers still copy from. Thread-safe.
class ReadAround {
 public:
  // The largest read that is tried: the kernel reads larger files ahead by itself.
  static constexpr std::size_t kMaxReadBytes = 32U << 10;
  static constexpr std::size_t kPartBytes = 128U << 10;
  static constexpr std::size_t kParts = 8;

  // Whether `out` now holds file blocks [first, end), which the window covers. False says nothing of the file: read it
  // by itself. The caller holds a read guard from before the window was loaded.
  [[nodiscard]] bool read(store::Store& store, blockio::IoQueue& io, const ExtentWindow& window, std::uint64_t first,
                          std::uint64_t end, std::byte* out);

 private:
  // In small reads: a part costs some, each read answered from one earns one, and so does each near one that was not.
  static constexpr int kPriceOfPart = 16;
  static constexpr int kMaxCredit = 16 * kPriceOfPart;

  struct Part {
    BlockRun run;
    std::uint64_t epoch = 0;
    blockio::AlignedBuffer buffer;
  };
  using PartRef = std::shared_ptr<Part>;

  // Parts that nobody profits from, as when others write all the time, are soon loaded less often.
  [[nodiscard]] bool can_afford_part() noexcept;
  void earn() noexcept;

  [[nodiscard]] PartRef find(BlockRun run, std::uint64_t epoch);
  [[nodiscard]] PartRef load(store::Store& store, blockio::IoQueue& io, BlockRun run);
  [[nodiscard]] PartRef take_oldest();
  void keep(PartRef part);

  store::RecentPlaces places_;
  std::atomic<int> credit_{kMaxCredit};  // may stray from its bounds by a few
  std::mutex mutex_;
  std::array<PartRef, kParts> parts_;  // guarded by mutex_
  std::size_t next_ = 0;
};

}  // namespace ashlar::volume
