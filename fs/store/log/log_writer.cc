#include "fs/store/log/log_writer.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <optional>

#include "fs/base/seeded_bug.h"

namespace ashlar::store {
namespace {

// A chunk is at most this part of the area, so that a log of any size holds a few.
constexpr std::uint64_t kMinChunksInArea = 4;
// Unwritten bytes from which backlog() asks for a sync; a quarter of a small area.
constexpr std::uint64_t kBacklogLimit = 4U << 20;
constexpr std::uint64_t kBacklogShare = 4;
// Chunk buffers kept for reuse; the backlog bounds how many more there are for a while.
constexpr std::size_t kMaxSpareBuffers = 4;
// Checkpoints a reservation waits for before it gives up.
constexpr int kMaxReserveAttempts = 1000;

std::size_t chunk_limit(std::uint64_t area_bytes, std::uint32_t block_size) {
  const std::uint64_t limit = std::min<std::uint64_t>(format::kMaxChunkSize, area_bytes / kMinChunksInArea);
  return static_cast<std::size_t>(std::max<std::uint64_t>(limit - limit % block_size, block_size));
}

}  // namespace

LogWriter::LogWriter(const format::Layout& layout, const std::uint8_t (&uuid)[16], LogPosition position)
    : block_size_(layout.block_size()),
      area_first_(layout.byte_offset(layout.log().first)),
      area_bytes_(layout.log().count * layout.block_size()),
      max_chunk_(chunk_limit(area_bytes_, block_size_)),
      epoch_(position.epoch),
      next_start_(position.start),
      end_(position.start),
      tail_(position.start),
      durable_(position.start),
      handed_out_(position.start),
      chain_(position.chain) {
  std::memcpy(uuid_, uuid, sizeof uuid_);
  assert(position.start.value() % block_size_ == 0);
}

LogWriter::~LogWriter() = default;

std::uint64_t LogWriter::round_up(std::uint64_t bytes) const noexcept {
  return (bytes + block_size_ - 1) & ~std::uint64_t{block_size_ - 1};
}

std::uint64_t LogWriter::cost(std::size_t record_bytes) const noexcept {
  return round_up(sizeof(format::ChunkHeader) + record_bytes);
}

Lsn LogWriter::chunk_boundary() const noexcept {
  return open_.length == 0 ? next_start_ : open_.start + round_up(open_.length);
}

// What would be in use, from the tail on, if every reservation became a chunk of its own. At most one end of the area
// lies between the tail and the tail a lap later, so at most one chunk has to leave a gap before it, and one that does
// is longer than the gap.
std::uint64_t LogWriter::worst_use() const noexcept {
  const Lsn boundary = chunk_boundary();
  const std::uint64_t to_wrap = area_bytes_ - area_offset(boundary);
  const bool wraps = boundary + to_wrap < tail_ + area_bytes_;
  const std::uint64_t gap = wraps ? std::min<std::uint64_t>(to_wrap, max_chunk_) : 0;
  return (boundary - tail_) + gap + reserved_;
}

std::uint64_t LogWriter::unwritten() const noexcept {
  return chunk_boundary() - std::min(handed_out_, chunk_boundary());
}

Status LogWriter::reserve(std::size_t bytes, const std::function<Status()>& wait_for_space) {
  if (bytes > max_record()) {
    return fail(ErrorCode::argument_too_large, "transaction larger than the log can hold");
  }
  std::unique_lock lock(mutex_);
  for (int attempt = 0; worst_use() + cost(bytes) > area_bytes_; ++attempt) {
    if (attempt == kMaxReserveAttempts) return fail(ErrorCode::busy, "the log stays full");
    if (has_bug(SeededBug::log_lap_overwritten)) break;
    lock.unlock();
    TRY(wait_for_space());
    lock.lock();
  }
  reserved_ += cost(bytes);
  return {};
}

void LogWriter::unreserve(std::size_t bytes) {
  const std::scoped_lock lock(mutex_);
  assert(reserved_ >= cost(bytes));
  reserved_ -= cost(bytes);
}

blockio::AlignedBuffer LogWriter::take_buffer() {
  if (spare_.empty()) return blockio::AlignedBuffer(max_chunk_);
  blockio::AlignedBuffer buffer = std::move(spare_.back());
  spare_.pop_back();
  return buffer;
}

void LogWriter::recycle(std::deque<Chunk>& chunks) {
  for (Chunk& chunk : chunks) {
    if (spare_.size() < kMaxSpareBuffers) spare_.push_back(std::move(chunk.buffer));
  }
  chunks.clear();
}

// Makes sure that the open chunk has room for the record; false when memory is out.
bool LogWriter::open_chunk_for(std::size_t record_bytes) {
  if (open_.length != 0) {
    const std::uint64_t room = std::min<std::uint64_t>(max_chunk_, area_bytes_ - area_offset(open_.start));
    if (open_.length + record_bytes <= room) return true;
    seal_open_chunk();
  }
  const std::uint64_t to_area_end = area_bytes_ - area_offset(next_start_);
  if (cost(record_bytes) > to_area_end) next_start_ += to_area_end;
  open_.buffer = take_buffer();
  if (open_.buffer.empty()) return false;
  open_.start = next_start_;
  open_.length = sizeof(format::ChunkHeader);
  open_.records = 0;
  return true;
}

Lsn LogWriter::append(std::span<const std::byte> record, std::size_t reserved) {
  const std::scoped_lock lock(mutex_);
  assert(!record.empty() && record.size() <= reserved && reserved_ >= cost(reserved));
  reserved_ -= cost(reserved);
  if (failed_) return end_;
  if (!open_chunk_for(record.size())) {
    failed_ = true;
    written_.notify_all();
    return end_;
  }
  std::memcpy(open_.buffer.data() + open_.length, record.data(), record.size());
  open_.length += record.size();
  ++open_.records;
  end_ = open_.end();
  assert(chunk_boundary() - tail_ <= area_bytes_ || has_bug(SeededBug::log_lap_overwritten));
  ++stats_.records;
  stats_.record_bytes += record.size();
  return end_;
}

void LogWriter::seal_open_chunk() {
  if (open_.length == 0) return;
  const std::uint64_t padded = round_up(open_.length);
  std::memset(open_.buffer.data() + open_.length, 0, padded - open_.length);

  format::ChunkHeader header{};
  header.magic = format::kChunkMagic;
  std::memcpy(header.uuid, uuid_, sizeof header.uuid);
  header.epoch = epoch_;
  header.lsn = open_.start.value();
  header.length = static_cast<std::uint32_t>(open_.length);
  header.record_count = open_.records;
  header.previous_crc = chain_;
  header.durable = std::min(durable_, open_.start).value();
  std::memcpy(open_.buffer.data(), &header, sizeof header);
  format::seal_chunk(open_.buffer.span().first(open_.length));
  std::memcpy(&header, open_.buffer.data(), sizeof header);

  chain_ = header.crc;
  next_start_ = open_.start + padded;
  sealed_.push_back(std::move(open_));
  open_ = Chunk{};
}

void LogWriter::reopen_last_chunk() {
  const Chunk& last = sealed_.back();
  blockio::AlignedBuffer buffer = take_buffer();
  if (buffer.empty()) return;
  std::memcpy(buffer.data(), last.buffer.data(), last.length);
  format::ChunkHeader header;
  std::memcpy(&header, last.buffer.data(), sizeof header);
  chain_ = header.previous_crc;
  next_start_ = last.start;
  open_ = Chunk{std::move(buffer), last.start, last.length, last.records};
}

Status LogWriter::sync(blockio::IoQueue& io, Lsn upto) {
  std::unique_lock lock(mutex_);
  ++stats_.syncs;
  if (failed_) return fail(ErrorCode::shut_down, "an earlier write of the log failed");
  upto = std::min(upto, end_);
  // Every round either is covered, or waits for the leader there is, or leads a write that covers `upto`.
  for (;;) {
    if (failed_) return fail(ErrorCode::shut_down, "a write of the log failed");
    if (durable_ >= upto) return {};
    if (!leader_active_) break;
    written_.wait(lock);
  }
  leader_active_ = true;
  seal_open_chunk();
  if (has_bug(SeededBug::log_chunk_rewritten)) reopen_last_chunk();
  std::deque<Chunk> chunks = std::move(sealed_);
  sealed_.clear();
  handed_out_ = next_start_;
  assert(!chunks.empty() && chunks.back().end() >= upto);

  lock.unlock();
  Status outcome = write_with_data(io, chunks);
  lock.lock();

  leader_active_ = false;
  // What the volume stopped for meanwhile may have cost what these records name.
  if (outcome && failed_) outcome = fail(ErrorCode::shut_down, "the volume stopped");
  if (outcome) {
    durable_ = std::max(durable_, chunks.back().end());
    stats_.chunks += chunks.size();
    for (const Chunk& chunk : chunks) stats_.chunk_bytes += round_up(chunk.length);
    stats_.durable_writes += 1;
  } else {
    failed_ = true;
  }
  recycle(chunks);
  written_.notify_all();
  if (!outcome) return fail(std::move(outcome).error().with_context("writing the log"));
  return {};
}

// The chunks are sealed, so what their records name was gathered before.
Status LogWriter::write_with_data(blockio::IoQueue& io, const std::deque<Chunk>& chunks) const {
  if (data_ == nullptr || has_bug(SeededBug::gathered_data_left_out)) return write(io, chunks, nullptr);
  std::optional<blockio::IoOp> data = TRY(data_->begin_write());
  Status outcome = write(io, chunks, data ? &*data : nullptr);
  if (data) data_->end_write(*data);
  return outcome;
}

// All but the last chunk first, at the queue's depth; the last one's durable write covers them as they completed before
// it. Data goes with those, or beside the only chunk and as durable as it: recovery knows records whose data is
// missing, so neither waits for the other, and the kernel makes one flush do for both.
Status LogWriter::write(blockio::IoQueue& io, const std::deque<Chunk>& chunks, blockio::IoOp* data) const {
  if (chunks.empty()) return fail(ErrorCode::io_error, "no log chunk to write");
  const auto op_for = [this](const Chunk& chunk) {
    return blockio::IoOp::write(area_first_ + area_offset(chunk.start),
                                chunk.buffer.span().first(round_up(chunk.length)));
  };
  blockio::IoOp last = op_for(chunks.back());
  if (!has_bug(SeededBug::log_write_not_durable)) last.kind = blockio::OpKind::write_durable;
  if (chunks.size() == 1) {
    if (data == nullptr) return io.run(last);
    data->kind = last.kind;
    const std::array<blockio::IoOp*, 2> both{data, &last};
    return io.run(both);
  }
  std::vector<blockio::IoOp> ops;
  std::vector<blockio::IoOp*> pointers;
  ops.reserve(chunks.size() - 1);
  for (std::size_t i = 0; i + 1 < chunks.size(); ++i) ops.push_back(op_for(chunks[i]));
  for (blockio::IoOp& op : ops) pointers.push_back(&op);
  if (data != nullptr) pointers.push_back(data);
  TRY(io.run(pointers));
  return io.run(last);
}

LogPosition LogWriter::seal() {
  const std::scoped_lock lock(mutex_);
  seal_open_chunk();
  return LogPosition{epoch_, next_start_, chain_};
}

void LogWriter::advance_tail(Lsn start) {
  const std::scoped_lock lock(mutex_);
  assert(start >= tail_ && start <= chunk_boundary());
  tail_ = start;
  durable_ = std::max(durable_, start);
  handed_out_ = std::max(handed_out_, start);
  // What a leader holds is not here any more; it writes it before any chunk of a later lap can be written.
  std::deque<Chunk> dropped;
  while (!sealed_.empty() && sealed_.front().start < start) {
    dropped.push_back(std::move(sealed_.front()));
    sealed_.pop_front();
  }
  recycle(dropped);
  written_.notify_all();
}

bool LogWriter::backlog() const {
  const std::scoped_lock lock(mutex_);
  return unwritten() > std::min(kBacklogLimit, area_bytes_ / kBacklogShare);
}

Lsn LogWriter::end() const {
  const std::scoped_lock lock(mutex_);
  return end_;
}

Lsn LogWriter::durable() const {
  const std::scoped_lock lock(mutex_);
  return durable_;
}

double LogWriter::fill() const {
  const std::scoped_lock lock(mutex_);
  return static_cast<double>(chunk_boundary() - tail_ + reserved_) / static_cast<double>(area_bytes_);
}

LogStats LogWriter::stats() const {
  const std::scoped_lock lock(mutex_);
  return stats_;
}

void LogWriter::fail_permanently() {
  const std::scoped_lock lock(mutex_);
  failed_ = true;
  written_.notify_all();
}

}  // namespace ashlar::store
