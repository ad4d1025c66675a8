#include "fs/ctl/dump_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "fs/ctl/item_text.h"
#include "fs/format/log.h"
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
    case format::LogOpKind::patch: break;
  }
  return "unknown operation";
}

Status dump_record(std::span<const std::byte> record, std::uint64_t block_count) {
  format::LogOpCursor cursor(record);
  format::LogOpView op;
  while (TRY(cursor.next(op))) fmt::print("      {}\n", op_text(op, block_count));
  return {};
}

Status dump_chunk(std::span<const std::byte> chunk, std::uint64_t lsn, std::uint64_t block_count) {
  format::RecordCursor records(chunk);
  while (true) {
    const std::uint64_t offset = records.offset();
    const auto record = TRY(records.next());
    if (record.empty()) return {};
    fmt::print("    record at LSN {}, {} bytes\n", lsn + offset, record.size());
    TRY(dump_record(record, block_count));
  }
}

}  // namespace

Status dump_log(const VolumeReader& volume, const format::Superblock& superblock) {
  const auto layout = format::Layout::of(superblock);
  const std::uint64_t area = layout.log().count * layout.block_size();
  const std::uint64_t area_offset = layout.byte_offset(layout.log().first);
  const std::uint64_t first = superblock.log_start;
  std::vector<std::byte> buffer(format::kMaxChunkSize);
  std::uint64_t lsn = first;
  std::uint32_t previous_crc = superblock.log_start_chain;
  std::size_t chunks = 0;
  fmt::print("log of epoch {:016x} from LSN {}\n", superblock.log_epoch.value(), lsn);
  // The log never holds more than its area.
  while (lsn - first < area) {
    const std::uint64_t left = area - lsn % area;
    const auto bytes = std::span(buffer).first(static_cast<std::size_t>(std::min<std::uint64_t>(left, buffer.size())));
    TRY(volume.read(area_offset + lsn % area, bytes));
    const auto header = format::validate_chunk(bytes, superblock.uuid, superblock.log_epoch, Lsn{lsn}, previous_crc);
    if (!header) {
      if (header.error().code() == ErrorCode::not_found && lsn % area != 0) {
        lsn += left;  // a chunk that did not fit before the area's end lies at its start
        continue;
      }
      const bool gone = header.error().code() == ErrorCode::not_found;
      fmt::print("  ends at LSN {}: {}\n", lsn, gone ? "no chunk of this log" : header.error().message());
      break;
    }
    fmt::print("  chunk at LSN {}, {} bytes, {} records, durable before it {}\n", lsn, header->length.value(),
               header->record_count.value(), header->durable.value());
    TRY(dump_chunk(bytes.first(header->length), lsn, layout.block_count()));
    previous_crc = header->crc;
    ++chunks;
    const std::uint64_t block_size = layout.block_size();
    lsn += (header->length + block_size - 1) / block_size * block_size;
  }
  fmt::print("{}\n", format::count_text(chunks, "chunk"));
  return {};
}

}  // namespace ashlar::ctl
