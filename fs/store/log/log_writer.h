// The write-ahead log: records in, chunks out, one durable device write for all callers that wait together.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

#include "blockio/aligned_buffer.h"
#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/format/layout.h"
#include "fs/format/log.h"
#include "fs/store/log/gathered_data.h"

namespace ashlar::store {

// Where an (empty) log begins, as the superblock says or will say.
struct LogPosition {
  std::uint64_t epoch = 0;
  Lsn start;  // a multiple of the block size
  std::uint32_t chain = 0;
};

struct LogStats {
  std::uint64_t records = 0;
  std::uint64_t record_bytes = 0;
  std::uint64_t chunks = 0;  // written
  std::uint64_t chunk_bytes = 0;
  std::uint64_t syncs = 0;           // callers that asked
  std::uint64_t durable_writes = 0;  // device writes that answered them
};

// Thread-safe. Lock order: nothing of ours is taken while mutex_ is held; device I/O happens without it.
//
// A chunk is open (records are appended to it), then sealed (final: its checksum is fixed and the next chunk's header
// repeats it), then written, once, by the one leader that there is at a time. Chunks are written in order, so chunk
// writes of two laps never meet.
class LogWriter {
 public:
  LogWriter(const format::Layout& layout, const std::uint8_t (&uuid)[16], LogPosition position);
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  // What the records name and memory still holds goes to the device together with them. To be set before the first
  // sync(), and there until the last.
  void set_gathered_data(GatheredData& data) noexcept { data_ = &data; }

  // Takes log space for a record of `bytes` until append() or unreserve(); blocks while a checkpoint must free some
  // first
  // (`wait_for_space` is called, without the lock, to have one run: it returns when space may have been freed or with
  // the error that forbids it). argument_too_large for a record that can never fit; busy when others took what was
  // freed, time and again.
  [[nodiscard]] Status reserve(std::size_t bytes, const std::function<Status()>& wait_for_space);
  void unreserve(std::size_t bytes);

  // Appends a record (not empty, at most `reserved` bytes long), giving back `reserved` bytes for it. Returns the LSN
  // *after* the record: sync() up to it makes the record durable. The caller orders appends (store's commit lock).
  // Never blocks on I/O. Out of memory fails the log as a failed write does.
  Lsn append(std::span<const std::byte> record, std::size_t reserved);

  // Everything before `upto` (at most end()) is on the medium when this returns ok. Callers that wait together share a
  // write; one of them makes it on its own queue and returns the device's error if it fails; every other and later sync
  // then fails with shut_down.
  [[nodiscard]] Status sync(blockio::IoQueue& io, Lsn upto);

  // Seals what was appended so far, so that the next record begins a chunk: a checkpoint's log_start is such a place.
  [[nodiscard]] LogPosition seal();

  // What lies before `start`, a place that seal() told, is durable elsewhere and no longer needed: what is not written
  // of it need not be.
  void advance_tail(Lsn start);

  // Bytes appended and not yet written are limited; true when a caller of append should sync soon.
  [[nodiscard]] bool backlog() const;
  [[nodiscard]] Lsn end() const;  // of what was appended
  [[nodiscard]] Lsn durable() const;
  [[nodiscard]] double fill() const;  // used and reserved part of the area, 0 to 1
  [[nodiscard]] LogStats stats() const;
  // The longest record that reserve() takes.
  [[nodiscard]] std::size_t max_record() const noexcept { return max_chunk_ - sizeof(format::ChunkHeader); }
  // Makes every later append's sync fail (checkpoint failed, shutdown requested).
  void fail_permanently();

 private:
  struct Chunk {
    blockio::AlignedBuffer buffer;
    Lsn start;
    std::size_t length = 0;  // header and records
    std::uint32_t records = 0;

    [[nodiscard]] Lsn end() const noexcept { return start + length; }
  };

  [[nodiscard]] std::uint64_t round_up(std::uint64_t bytes) const noexcept;
  [[nodiscard]] std::uint64_t area_offset(Lsn lsn) const noexcept { return lsn.value() % area_bytes_; }
  // Area that a record takes at worst: a chunk for itself.
  [[nodiscard]] std::uint64_t cost(std::size_t record_bytes) const noexcept;

  // mutex_ is held by the caller of these.
  [[nodiscard]] Lsn chunk_boundary() const noexcept;  // where a chunk would begin if all were sealed
  [[nodiscard]] std::uint64_t worst_use() const noexcept;
  [[nodiscard]] std::uint64_t unwritten() const noexcept;
  [[nodiscard]] bool open_chunk_for(std::size_t record_bytes);
  void seal_open_chunk();
  [[nodiscard]] blockio::AlignedBuffer take_buffer();
  void recycle(std::deque<Chunk>& chunks);
  void reopen_last_chunk();  // SeededBug::log_chunk_rewritten

  // Without mutex_.
  [[nodiscard]] Status write_with_data(blockio::IoQueue& io, const std::deque<Chunk>& chunks) const;
  [[nodiscard]] Status write(blockio::IoQueue& io, const std::deque<Chunk>& chunks, blockio::IoOp* data) const;

  const std::uint32_t block_size_;
  const std::uint64_t area_first_;  // byte on the device
  const std::uint64_t area_bytes_;
  const std::size_t max_chunk_;  // bytes, whole blocks
  const std::uint64_t epoch_;
  std::uint8_t uuid_[16];
  GatheredData* data_ = nullptr;

  mutable std::mutex mutex_;
  std::condition_variable written_;  // durable_ grew, the leader is done, or failed_
  Chunk open_;                       // length 0: none
  std::deque<Chunk> sealed_;         // oldest first, not handed to a leader yet
  std::vector<blockio::AlignedBuffer> spare_;
  std::uint64_t reserved_ = 0;  // sum of cost() of the reservations
  Lsn next_start_;              // where the chunk after the last sealed one begins, unless it must wrap
  Lsn end_;
  Lsn tail_;
  Lsn durable_;
  Lsn handed_out_;           // chunks before it have been written or are in a leader's hands
  std::uint32_t chain_ = 0;  // crc of the last sealed chunk
  bool leader_active_ = false;
  bool failed_ = false;
  LogStats stats_;
};

}  // namespace ashlar::store
