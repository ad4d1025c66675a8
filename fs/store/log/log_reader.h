// Reads the log back after a crash, changing nothing. Used by recovery and by fsck.
#pragma once

#include <functional>
#include <span>

#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/base/types.h"
#include "fs/format/layout.h"
#include "fs/format/log.h"

namespace ashlar::store {

// Where the log ended.
struct LogEnd {
  Lsn next;                      // where the next chunk would begin
  std::uint32_t chain = 0;       // crc of the last chunk
  std::uint64_t records = 0;     // visited
  std::uint64_t bytes = 0;       // of valid chunks
  std::uint64_t distrusted = 0;  // records of the unflushed tail dropped because their data did not reach the medium
};

// Visits every record from the superblock's log_start on, oldest first. Records past the last known flush are believed
// only if the data that they bear witness to is on the device; the first that is not ends the log (design: prefix
// consistency). A visitor's error ends the reading and is returned. A missing or torn chunk is the log's end, not an
// error; a device error is one.
[[nodiscard]] Result<LogEnd> read_log(blockio::IoQueue& io, const format::Superblock& superblock,
                                      const std::function<Status(Lsn, std::span<const std::byte> record)>& visit);

}  // namespace ashlar::store
