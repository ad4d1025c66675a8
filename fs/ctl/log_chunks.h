// The chunks of a volume's log, one after the other, as far as they are valid.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "fs/ctl/volume_reader.h"
#include "fs/format/log.h"

namespace ashlar::ctl {

struct LogChunk {
  Lsn start;
  std::uint64_t offset = 0;    // on the device, bytes
  std::span<std::byte> bytes;  // the header's length of them; to be changed by who likes to, valid during the call
  format::ChunkHeader header;
};

struct LogChunksEnd {
  Lsn next;
  std::string why;  // there is no chunk of this log
};

// An error of `visit` or of the device ends it and is returned.
[[nodiscard]] Result<LogChunksEnd> visit_log_chunks(const VolumeReader& volume, const format::Superblock& superblock,
                                                    const std::function<Status(const LogChunk&)>& visit);

}  // namespace ashlar::ctl
