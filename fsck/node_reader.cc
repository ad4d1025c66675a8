#include "fsck/node_reader.h"

#include <algorithm>

namespace ashlar::fsck {

NodeReader::NodeReader(CheckContext& context)
    : context_(context),
      node_size_(context.layout.node_size()),
      batches_(std::make_unique<std::array<Batch, kBatches>>()) {}

NodeReader::~NodeReader() {
  for (Batch& batch : *batches_) wait(batch);
}

Status NodeReader::begin(std::span<const ExpectedNode> nodes) {
  for (Batch& batch : *batches_) {
    wait(batch);
    batch.nodes = {};
    batch.submitted = 0;
  }
  ahead_ = nodes;
  current_ = 0;
  // next() reads into the current one, which it takes to be used up, and goes on to the one after it.
  for (std::size_t i = 0; i < kBatches; ++i) {
    const std::size_t before = i * kBatchNodes;
    if (before >= nodes.size()) break;
    TRY(make_room((*batches_)[(i + 1) % kBatches], std::min(nodes.size() - before, kBatchNodes)));
  }
  for (std::size_t i = 1; i < kBatches; ++i) submit((*batches_)[i]);
  return {};
}

// Most volumes are small, and are read many times where they are tested.
Status NodeReader::make_room(Batch& batch, std::size_t nodes) const {
  if (batch.room >= nodes) return {};
  const std::size_t bytes = nodes * format::kCopies * node_size_;
  // Huge pages are pinned for a transfer, and make its segments, in a fraction of the time.
  batch.buffer =
      bytes < blockio::kHugePageSize ? blockio::AlignedBuffer(bytes) : blockio::AlignedBuffer::in_huge_pages(bytes);
  batch.room = batch.buffer.empty() ? 0 : nodes;
  return batch.buffer.empty() ? fail(ErrorCode::out_of_memory) : Status{};
}

std::span<const ExpectedNode> NodeReader::next() {
  submit((*batches_)[current_]);
  current_ = (current_ + 1) % kBatches;
  Batch& batch = (*batches_)[current_];
  wait(batch);
  return batch.nodes;
}

void NodeReader::submit(Batch& batch) {
  batch.nodes = ahead_.first(std::min(ahead_.size(), kBatchNodes));
  ahead_ = ahead_.subspan(batch.nodes.size());
  batch.submitted = 0;
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
    for (std::size_t i = 0; i < batch.nodes.size(); ++i) {
      if (!in_bounds(batch.nodes[i].pointer)) continue;
      blockio::IoOp& read = batch.reads[place(i, copy)];
      read =
          blockio::IoOp::read(context_.layout.byte_offset(batch.nodes[i].pointer.address[copy]), bytes(batch, i, copy));
      batch.order[batch.submitted++] = &read;
    }
  }
  if (batch.submitted != 0) context_.io.submit(batch.in_order());
}

// For this batch alone: more at once would also wait for the batches behind it, and the device would run dry. Not by
// the nodes, which may be gone when a walk ends early.
void NodeReader::wait(Batch& batch) {
  for (const blockio::IoOp* read : batch.in_order()) {
    while (!read->done()) context_.io.wait(1);
  }
}

Status NodeReader::outcome(std::size_t index, std::size_t copy) const {
  const Batch& batch = (*batches_)[current_];
  if (!in_bounds(batch.nodes[index].pointer)) return fail(ErrorCode::corrupt_structure, "past the volume's end");
  const blockio::IoOp& read = batch.reads[place(index, copy)];
  return read.ok() ? Status{} : fail(read.error());
}

std::span<std::byte> NodeReader::image(std::size_t index, std::size_t copy) {
  return bytes((*batches_)[current_], index, copy);
}

bool NodeReader::in_bounds(const format::NodePointer& pointer) const {
  return std::all_of(std::begin(pointer.address), std::end(pointer.address), [this](BlockNumber address) {
    return address.value() <= context_.layout.block_count() - context_.layout.node_blocks();
  });
}

}  // namespace ashlar::fsck
