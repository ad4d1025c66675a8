// Finds a volume's log when no superblock says where it begins.
#pragma once

#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/format/log.h"
#include "fs/format/superblock.h"

namespace ashlar::fsck {

// What the superblock would say: see its fields of these names.
struct LogPlace {
  std::uint64_t epoch = 1;
  Lsn start;
  std::uint32_t chain = 0;
};

// The longest unbroken chain that ends with the newest chunk of the newest epoch in the log area of `superblock`. It
// may begin before what the tree already holds; replaying that again changes nothing, because what comes later in the
// chain counts. Without any chunk: an empty log of epoch 1.
[[nodiscard]] Result<LogPlace> search_log(blockio::IoQueue& io, const format::Superblock& superblock);

}  // namespace ashlar::fsck
