// Reads the log back after a crash, changing nothing. Used by recovery and by fsck.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>

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
  // Set when the log ends where no crash could have made it end: a later chunk says that records up to here had been
  // durable, and what lies between is damaged. Whoever had them acknowledged has lost them.
  std::optional<Lsn> lost_upto;
  // What the device says about the place where the log ends, when it cannot read it: nobody knows what was there.
  // Empty when it can.
  std::string unreadable;
  // What the device says about data that a record of the unflushed tail names, when it cannot read it: nobody knows
  // whether it had arrived. Empty when it can. The record counts nevertheless if all else that the tail names is there;
  // otherwise the tail had not been durable, and the log ends before that record.
  std::string unreadable_data;
  bool ends_at_unreadable_data = false;

  [[nodiscard]] bool is_damaged() const noexcept {
    return lost_upto.has_value() || !unreadable.empty() || ends_at_unreadable_data;
  }
};

// Visits every record from the superblock's log_start on, oldest first. Records past the last known flush are believed
// only if the data that they bear witness to is on the device; the first that is not ends the log (design: prefix
// consistency). A visitor's error ends the reading and is returned. A missing, torn or
// damaged chunk and one that the device fails to read (io_error) is the log's end, which LogEnd tells apart, as it does
// data that the device fails to read; any other device error is an error, and so is a log of which nothing can be read.
[[nodiscard]] Result<LogEnd> read_log(blockio::IoQueue& io, const format::Superblock& superblock,
                                      const std::function<Status(Lsn, std::span<const std::byte> record)>& visit);

}  // namespace ashlar::store
