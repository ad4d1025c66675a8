#include "tests/fsck/image_editor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

#include "blockio/aligned_buffer.h"
#include "fs/format/checksum.h"
#include "fs/format/log.h"
#include "fs/format/places.h"

namespace ashlar::fsck::testing {
namespace {

constexpr std::size_t kSuperblocks = format::kSuperblockSlots * format::kCopies;

template <typename T>
T head_of(std::span<const std::byte> bytes) {
  T head;
  std::memcpy(&head, bytes.data(), sizeof head);
  return head;
}

format::NodeHeader& mutable_header(std::span<std::byte> node) {
  return *reinterpret_cast<format::NodeHeader*>(node.data());
}

}  // namespace

format::NodePointer pointer_of(const format::InternalEntry& entry, std::uint8_t level) {
  format::NodePointer pointer;
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) pointer.address[copy] = BlockNumber{entry.address[copy]};
  pointer.generation = Generation{entry.generation};
  pointer.crc = entry.crc;
  pointer.level = level;
  return pointer;
}

ImageEditor::ImageEditor(blockio::BlockDevice& device) : superblock{} {
  Result<std::unique_ptr<blockio::IoQueue>> io = device.open_queue({});
  EXPECT_TRUE(io);
  io_ = *std::move(io);
  std::vector<format::Superblock> all;
  for (std::size_t i = 0; i < kSuperblocks; ++i) {
    all.push_back(head_of<format::Superblock>(
        read_at(format::superblock_offset(i / format::kCopies, i % format::kCopies), format::kSuperblockSize)));
  }
  const Result<std::size_t> chosen = format::choose_superblock(all, device.geometry().size, false);
  EXPECT_TRUE(chosen);
  if (chosen) superblock = all[*chosen];
}

void ImageEditor::write_superblock() {
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) write_superblock_copy(copy, superblock);
}

void ImageEditor::write_superblock_copy(std::size_t copy, format::Superblock changed) {
  format::seal(changed);
  const std::size_t slot = superblock.generation % format::kSuperblockSlots;
  write_at(format::superblock_offset(slot, copy), std::as_bytes(std::span(&changed, 1)));
}

std::vector<NodePath> ImageEditor::nodes() {
  std::vector<NodePath> found;
  NodePath path;
  visit(format::load(superblock.root), path, found);
  return found;
}

std::vector<NodePath> ImageEditor::leaves() {
  std::vector<NodePath> found = nodes();
  const std::size_t depth = superblock.root.level;
  std::erase_if(found, [depth](const NodePath& path) { return path.size() != depth; });
  return found;
}

void ImageEditor::visit(const format::NodePointer& pointer, NodePath& path, std::vector<NodePath>& found) {
  found.push_back(path);
  if (pointer.level == 0) return;
  const std::vector<std::byte> node = read_node(pointer);
  const std::span<const format::InternalEntry> entries = format::internal_entries(node);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    path.push_back(i);
    visit(pointer_of(entries[i], static_cast<std::uint8_t>(pointer.level - 1)), path, found);
    path.pop_back();
  }
}

format::NodePointer ImageEditor::pointer_to(const NodePath& path) {
  format::NodePointer pointer = format::load(superblock.root);
  for (const std::size_t index : path) {
    const std::vector<std::byte> node = read_node(pointer);
    pointer = pointer_of(format::internal_entries(node)[index], static_cast<std::uint8_t>(pointer.level - 1));
  }
  return pointer;
}

std::vector<std::byte> ImageEditor::read_node(const format::NodePointer& pointer) {
  std::vector<std::byte> node = read_at(layout().byte_offset(pointer.address[0]), superblock.node_size);
  const Status valid = format::validate_node(node, superblock.uuid, &pointer);
  EXPECT_TRUE(valid) << valid.error().message();
  return node;
}

void ImageEditor::edit_node(const NodePath& path, const EditBytes& edit) { edit_nodes({{path, edit}}); }

void ImageEditor::edit_nodes(const std::map<NodePath, EditBytes>& edits) {
  superblock.root.crc = rewrite(format::load(superblock.root), {}, edits);
  write_superblock();
}

std::uint32_t ImageEditor::rewrite(const format::NodePointer& pointer, const NodePath& path,
                                   const std::map<NodePath, EditBytes>& edits) {
  std::vector<std::byte> node = read_node(pointer);
  auto edit = edits.lower_bound(path);
  const auto is_below = [&path, &edits](const auto& at) {
    return at != edits.end() && at->first.size() > path.size() &&
           std::equal(path.begin(), path.end(), at->first.begin());
  };
  const auto own = edit != edits.end() && edit->first == path ? edit++ : edits.end();
  auto* const entries = reinterpret_cast<format::InternalEntry*>(node.data() + sizeof(format::NodeHeader));
  while (is_below(edit)) {
    NodePath child = path;
    child.push_back(edit->first[path.size()]);
    format::InternalEntry& entry = entries[child.back()];
    entry.crc = rewrite(pointer_of(entry, static_cast<std::uint8_t>(pointer.level - 1)), child, edits);
    ++child.back();
    edit = edits.lower_bound(child);
  }
  if (own != edits.end()) own->second(node);
  format::seal_node(node);
  for (const BlockNumber address : pointer.address) write_at(layout().byte_offset(address), node);
  return mutable_header(node).crc;
}

std::size_t ImageEditor::table_slot(std::uint32_t index) {
  std::size_t best = 0;
  std::uint64_t best_generation = 0;
  for (std::size_t slot = 0; slot < format::kSuperblockSlots; ++slot) {
    const std::vector<std::byte> block =
        read_at(layout().byte_offset(layout().group_table_block(index, slot, 0)), superblock.block_size);
    if (!format::validate_group_table_block(block, superblock.uuid, index, Generation{superblock.generation})) continue;
    const std::uint64_t generation = head_of<format::GroupTableHeader>(block).generation;
    if (generation < best_generation) continue;
    best = slot;
    best_generation = generation;
  }
  return best;
}

void ImageEditor::edit_table_block(std::uint32_t index, const EditBytes& edit) {
  std::vector<format::le32> checksums;
  for (std::uint32_t i = 0; i < superblock.group_table_blocks; ++i) {
    const std::size_t slot = table_slot(i);
    std::vector<std::byte> block =
        read_at(layout().byte_offset(layout().group_table_block(i, slot, 0)), superblock.block_size);
    if (i == index) {
      edit(block);
      format::seal_group_table_block(block);
      for (std::size_t copy = 0; copy < format::kCopies; ++copy)
        write_at(layout().byte_offset(layout().group_table_block(i, slot, copy)), block);
    }
    checksums.push_back(head_of<format::GroupTableHeader>(block).crc);
  }
  superblock.group_table_crc = format::crc32c(std::as_bytes(std::span(checksums)));
  write_superblock();
}

format::GroupEntry ImageEditor::group_entry(std::uint32_t group) {
  const std::uint32_t per_block = layout().group_table_entries_per_block();
  const std::uint32_t index = group / per_block;
  const std::vector<std::byte> block =
      read_at(layout().byte_offset(layout().group_table_block(index, table_slot(index), 0)), superblock.block_size);
  return head_of<format::GroupEntry>(
      std::span(block).subspan(sizeof(format::GroupTableHeader) + group % per_block * sizeof(format::GroupEntry)));
}

BlockNumber ImageEditor::bitmap_block(std::uint32_t group, std::size_t copy) {
  const std::size_t slot = (group_entry(group).flags & format::kGroupSlot) != 0 ? 1 : 0;
  return layout().bitmap_block(group, slot, copy);
}

void ImageEditor::edit_bitmap(std::uint32_t group, const EditBytes& edit) {
  std::vector<std::byte> bitmap = read_at(layout().byte_offset(bitmap_block(group, 0)), superblock.block_size);
  edit(bitmap);
  for (std::size_t copy = 0; copy < format::kCopies; ++copy)
    write_at(layout().byte_offset(bitmap_block(group, copy)), bitmap);
  const std::uint32_t per_block = layout().group_table_entries_per_block();
  edit_table_block(group / per_block, [&](std::span<std::byte> block) {
    auto* const entries = reinterpret_cast<format::GroupEntry*>(block.data() + sizeof(format::GroupTableHeader));
    format::GroupEntry& entry = entries[group % per_block];
    entry.bitmap_crc = format::crc32c(bitmap);
    const std::uint32_t before = entry.free_blocks;
    entry.free_blocks = std::accumulate(bitmap.begin(), bitmap.end(), 0U, [](std::uint32_t clear, std::byte bits) {
      return clear + 8 - static_cast<std::uint32_t>(std::popcount(std::to_integer<unsigned>(bits)));
    });
    superblock.free_blocks = superblock.free_blocks - before + entry.free_blocks;
  });
}

void ImageEditor::write_log_record(std::span<const std::byte> record, std::uint16_t operations) {
  const LogRecord only{{record.begin(), record.end()}, operations};
  write_log(std::span(&only, 1));
}

void ImageEditor::write_log(std::span<const LogRecord> records) {
  std::vector<std::byte> chunk(sizeof(format::ChunkHeader));
  for (const LogRecord& record : records) {
    format::RecordHeader head{};
    head.length = static_cast<std::uint32_t>(sizeof head + record.bytes.size());
    head.op_count = record.operations;
    const auto* const begin = reinterpret_cast<const std::byte*>(&head);
    chunk.insert(chunk.end(), begin, begin + sizeof head);
    chunk.insert(chunk.end(), record.bytes.begin(), record.bytes.end());
  }
  format::ChunkHeader header{};
  header.magic = format::kChunkMagic;
  std::memcpy(header.uuid, superblock.uuid, sizeof header.uuid);
  header.epoch = superblock.log_epoch;
  header.lsn = superblock.log_start + log_bytes_;
  header.length = static_cast<std::uint32_t>(chunk.size());
  header.record_count = static_cast<std::uint32_t>(records.size());
  header.previous_crc = log_bytes_ == 0 ? superblock.log_start_chain.value() : log_chain_;
  header.durable = header.lsn;
  const std::size_t block_size = superblock.block_size;
  chunk.resize((chunk.size() + block_size - 1) / block_size * block_size);
  std::memcpy(chunk.data(), &header, sizeof header);
  format::seal_chunk(chunk);
  write_at(layout().byte_offset(format::log_block(layout(), Lsn{header.lsn})), chunk);
  std::memcpy(&header, chunk.data(), sizeof header);
  log_chain_ = header.crc;
  log_bytes_ += chunk.size();
}

std::vector<std::byte> ImageEditor::read_at(std::uint64_t offset, std::size_t length) {
  blockio::AlignedBuffer buffer(length);
  blockio::IoOp read = blockio::IoOp::read(offset, buffer.span());
  EXPECT_TRUE(io_->run(read));
  return {buffer.data(), buffer.data() + length};
}

void ImageEditor::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  blockio::AlignedBuffer buffer(bytes.size());
  std::memcpy(buffer.data(), bytes.data(), bytes.size());
  blockio::IoOp write = blockio::IoOp::write(offset, buffer.span());
  EXPECT_TRUE(io_->run(write));
}

void ImageEditor::damage_at(std::uint64_t offset) {
  std::vector<std::byte> bytes = read_at(offset, format::kMinBlockSize);
  bytes[0] = ~bytes[0];
  write_at(offset, bytes);
}

void ImageEditor::damage_block(BlockNumber block) { damage_at(layout().byte_offset(block)); }

}  // namespace ashlar::fsck::testing
