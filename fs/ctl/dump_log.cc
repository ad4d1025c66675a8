#include "fs/ctl/dump_log.h"

#include <fmt/format.h>

#include "fs/base/standard_streams.h"
#include "fs/ctl/item_text.h"
#include "fs/ctl/log_chunks.h"
#include "fs/format/text.h"

namespace ashlar::ctl {
namespace {

std::string op_text(const format::LogOpView& op, std::uint64_t block_count) {
  const auto run = [&] { return fmt::format("blocks {} + {}", op.run.first.value(), op.run.count); };
  switch (op.op) {
    case format::LogOpKind::put:
      return fmt::format("put {} {}", key_text(op.key), value_text(op.key, op.value, block_count));
    case format::LogOpKind::erase: return fmt::format("erase {}", key_text(op.key));
    case format::LogOpKind::allocate: return "allocate " + run();
    case format::LogOpKind::free: return "free " + run();
    case format::LogOpKind::witness: return "witness " + run();
    case format::LogOpKind::counter: return fmt::format("next inode is at least {}", op.counter_value);
    case format::LogOpKind::sparse_put: break;  // shown as a put
  }
  return "unknown operation";
}

Status dump_record(std::span<const std::byte> record, std::uint64_t block_count) {
  format::LogOpCursor cursor(record);
  format::LogOpView op;
  while (TRY(cursor.next(op))) print("      {}\n", op_text(op, block_count));
  return {};
}

Status dump_chunk(std::span<const std::byte> chunk, std::uint64_t lsn, std::uint64_t block_count) {
  format::RecordCursor records(chunk);
  while (true) {
    const std::uint64_t offset = records.offset();
    const auto record = TRY(records.next());
    if (record.empty()) return {};
    print("    record at LSN {}, {} bytes\n", lsn + offset, record.size());
    TRY(dump_record(record, block_count));
  }
}

}  // namespace

Status dump_log(const VolumeReader& volume, const format::Superblock& superblock) {
  print("log of epoch {:016x} from LSN {}\n", superblock.log_epoch.value(), superblock.log_start.value());
  std::size_t chunks = 0;
  const LogChunksEnd end = TRY(visit_log_chunks(volume, superblock, [&](const LogChunk& chunk) {
    print("  chunk at LSN {}, {} bytes, {} records, durable before it {}\n", chunk.start.value(),
          chunk.header.length.value(), chunk.header.record_count.value(), chunk.header.durable.value());
    ++chunks;
    return dump_chunk(chunk.bytes, chunk.start.value(), superblock.block_count);
  }));
  print("  ends at LSN {}: {}\n{}\n", end.next.value(), end.why, format::count_text(chunks, "chunk"));
  return {};
}

}  // namespace ashlar::ctl
