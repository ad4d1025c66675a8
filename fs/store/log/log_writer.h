// The write-ahead log: records in, chunks out, one durable device write for all callers that wait together.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>

#include "blockio/aligned_buffer.h"
#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/format/layout.h"
#include "fs/format/log.h"

namespace ashlar::store {

// Where an (empty) log begins, as the superblock says or will say.
struct LogPosition {
  std::uint64_t epoch = 0;
  Lsn start;
  std::uint32_t chain = 0;
};

struct LogStats {
  std::uint64_t records = 0;
  std::uint64_t record_bytes = 0;
  std::uint64_t chunks = 0;
  std::uint64_t chunk_bytes = 0;
  std::uint64_t syncs = 0;          // callers that asked
  std::uint64_t durable_writes = 0; // device writes that answered them
};

// Thread-safe. Lock order: nothing of ours is taken while mutex_ is held; device I/O happens without it.
class LogWriter {
 public:
  LogWriter(const format::Layout& layout, const std::uint8_t (&uuid)[16], LogPosition position);
  ~LogWriter();

  // Takes `bytes` of log space until append() or unreserve(); blocks while a checkpoint must free some first (`wait_for_space` is
  // called, without the lock, to have one run: it returns when space may have been freed or with the error that forbids it).
  // argument_too_large for a record that can never fit.
  [[nodiscard]] Status reserve(std::size_t bytes, const std::function<Status()>& wait_for_space);
  void unreserve(std::size_t bytes);

  // Appends a record, giving back `reserved` bytes for it. Returns the LSN *after* the record: sync() up to it makes the record
  // durable. The caller orders appends (store's commit lock). Never blocks on I/O.
  Lsn append(std::span<const std::byte> record, std::size_t reserved);

  // Everything before `upto` is on the medium when this returns ok. Callers that wait together share a write; one of them makes it on
  // its own queue. After a failed write every later sync fails with shut_down.
  [[nodiscard]] Status sync(blockio::IoQueue& io, Lsn upto);

  // Seals what was appended so far, so that the next record begins a chunk: a checkpoint's log_start is such a place.
  [[nodiscard]] LogPosition seal();

  // What lies before `start` is no longer needed.
  void advance_tail(Lsn start);

  // Bytes appended and not yet written are limited; true when a caller of append should sync soon.
  [[nodiscard]] bool backlog() const;
  [[nodiscard]] Lsn end() const;             // of what was appended
  [[nodiscard]] Lsn durable() const;
  [[nodiscard]] double fill() const;         // used part of the area, 0 to 1
  [[nodiscard]] LogStats stats() const;
  // Makes every later append's sync fail (checkpoint failed, shutdown requested).
  void fail_permanently();
};

}  // namespace ashlar::store
