// Changes structures of a volume that is not mounted, below the store, and makes the checksums right again up to the
// superblock, so that what lies behind the checksums is reached.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "blockio/block_device.h"
#include "blockio/io_queue.h"
#include "fs/format/layout.h"
#include "fs/format/node.h"
#include "fs/format/superblock.h"

namespace ashlar::fsck::testing {

// The way to a node: the index of the entry to follow in each node from the root down.
using NodePath = std::vector<std::size_t>;
using EditBytes = std::function<void(std::span<std::byte>)>;

// Fails the test when the device fails or a node cannot be read. One thread.
class ImageEditor {
 public:
  explicit ImageEditor(blockio::BlockDevice& device);

  // The newest, as it was or as write_superblock() left it.
  format::Superblock superblock;
  // Into both copies of its slot, sealed.
  void write_superblock();
  void write_superblock_copy(std::size_t copy, format::Superblock changed);

  [[nodiscard]] format::Layout layout() const { return format::Layout::of(superblock); }

  // All nodes in key order, a parent before its children.
  [[nodiscard]] std::vector<NodePath> nodes();
  [[nodiscard]] std::vector<NodePath> leaves();
  [[nodiscard]] format::NodePointer pointer_to(const NodePath& path);
  [[nodiscard]] std::vector<std::byte> read_node(const format::NodePointer& pointer);
  // Both copies, the ancestors, the superblock.
  void edit_node(const NodePath& path, const EditBytes& edit);

  // Several at once, on the nodes as they are now: a change may make what lies below a node unreachable.
  void edit_nodes(const std::map<NodePath, EditBytes>& edits);

  // The group table block in use and the superblock's checksum over all of them.
  void edit_table_block(std::uint32_t index, const EditBytes& edit);
  [[nodiscard]] std::size_t table_slot(std::uint32_t index);
  [[nodiscard]] format::GroupEntry group_entry(std::uint32_t group);
  // The place of a bitmap in use.
  [[nodiscard]] BlockNumber bitmap_block(std::uint32_t group, std::size_t copy);

  // Both copies of a bitmap in use, the checksum over it and the counts of free blocks.
  void edit_bitmap(std::uint32_t group, const EditBytes& edit);

  // Operations of one transaction.
  struct LogRecord {
    std::vector<std::byte> bytes;  // without the record's header
    std::uint16_t operations = 0;
  };
  // Puts a chunk with these records into the log, which was empty, behind those put there before. Their records need
  // no proof then; those of the last chunk do.
  void write_log(std::span<const LogRecord> records);
  void write_log_record(std::span<const std::byte> record, std::uint16_t operations);

  [[nodiscard]] std::vector<std::byte> read_at(std::uint64_t offset, std::size_t length);
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  // Inverts the first byte of a block.
  void damage_block(BlockNumber block);
  void damage_at(std::uint64_t offset);

 private:
  void visit(const format::NodePointer& pointer, NodePath& path, std::vector<NodePath>& found);
  // Those of `edits` whose paths begin with `path`, the way to the node; returns its checksum.
  std::uint32_t rewrite(const format::NodePointer& pointer, const NodePath& path,
                        const std::map<NodePath, EditBytes>& edits);

  std::unique_ptr<blockio::IoQueue> io_;
  std::uint64_t log_bytes_ = 0;  // that write_log() wrote
  std::uint32_t log_chain_ = 0;  // of its last chunk
};

[[nodiscard]] format::NodePointer pointer_of(const format::InternalEntry& entry, std::uint8_t level);

}  // namespace ashlar::fsck::testing
