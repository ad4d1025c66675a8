// docs/on-disk-format.md tells the same offsets and sizes as the code.
#include <gtest/gtest.h>

#include <cstddef>
#include <fstream>
#include <map>
#include <regex>
#include <string>
#include <utility>

#include "fs/format/host_claim.h"
#include "fs/format/items.h"
#include "fs/format/layout.h"
#include "fs/format/log.h"
#include "fs/format/node.h"
#include "fs/format/superblock.h"

namespace ashlar {
namespace {

struct Field {
  const char* structure;
  const char* name;
  std::size_t offset;
  std::size_t size;
};

const Field kFields[] = {
    {"HostClaim", "magic", offsetof(format::HostClaim, magic), sizeof(format::HostClaim::magic)},
    {"HostClaim", "crc", offsetof(format::HostClaim, crc), sizeof(format::HostClaim::crc)},
    {"HostClaim", "uuid", offsetof(format::HostClaim, uuid), sizeof(format::HostClaim::uuid)},
    {"HostClaim", "sequence", offsetof(format::HostClaim, sequence), sizeof(format::HostClaim::sequence)},
    {"HostClaim", "time", offsetof(format::HostClaim, time), sizeof(format::HostClaim::time)},
    {"HostClaim", "interval", offsetof(format::HostClaim, interval), sizeof(format::HostClaim::interval)},
    {"HostClaim", "reserved0", offsetof(format::HostClaim, reserved0), sizeof(format::HostClaim::reserved0)},
    {"HostClaim", "boot_id", offsetof(format::HostClaim, boot_id), sizeof(format::HostClaim::boot_id)},
    {"HostClaim", "host", offsetof(format::HostClaim, host), sizeof(format::HostClaim::host)},
    {"HostClaim", "reserved", offsetof(format::HostClaim, reserved), sizeof(format::HostClaim::reserved)},
    {"Superblock", "magic", offsetof(format::Superblock, magic), sizeof(format::Superblock::magic)},
    {"Superblock", "crc", offsetof(format::Superblock, crc), sizeof(format::Superblock::crc)},
    {"Superblock", "version", offsetof(format::Superblock, version), sizeof(format::Superblock::version)},
    {"Superblock", "uuid", offsetof(format::Superblock, uuid), sizeof(format::Superblock::uuid)},
    {"Superblock", "label", offsetof(format::Superblock, label), sizeof(format::Superblock::label)},
    {"Superblock", "compatible", offsetof(format::Superblock, compatible), sizeof(format::Superblock::compatible)},
    {"Superblock", "read_only_compatible", offsetof(format::Superblock, read_only_compatible),
     sizeof(format::Superblock::read_only_compatible)},
    {"Superblock", "incompatible", offsetof(format::Superblock, incompatible),
     sizeof(format::Superblock::incompatible)},
    {"Superblock", "block_size", offsetof(format::Superblock, block_size), sizeof(format::Superblock::block_size)},
    {"Superblock", "node_size", offsetof(format::Superblock, node_size), sizeof(format::Superblock::node_size)},
    {"Superblock", "block_count", offsetof(format::Superblock, block_count), sizeof(format::Superblock::block_count)},
    {"Superblock", "generation", offsetof(format::Superblock, generation), sizeof(format::Superblock::generation)},
    {"Superblock", "flags", offsetof(format::Superblock, flags), sizeof(format::Superblock::flags)},
    {"Superblock", "group_table_crc", offsetof(format::Superblock, group_table_crc),
     sizeof(format::Superblock::group_table_crc)},
    {"Superblock", "hash_seed", offsetof(format::Superblock, hash_seed), sizeof(format::Superblock::hash_seed)},
    {"Superblock", "root", offsetof(format::Superblock, root), sizeof(format::Superblock::root)},
    {"Superblock", "node_count", offsetof(format::Superblock, node_count), sizeof(format::Superblock::node_count)},
    {"Superblock", "free_blocks", offsetof(format::Superblock, free_blocks), sizeof(format::Superblock::free_blocks)},
    {"Superblock", "next_inode", offsetof(format::Superblock, next_inode), sizeof(format::Superblock::next_inode)},
    {"Superblock", "group_table_first", offsetof(format::Superblock, group_table_first),
     sizeof(format::Superblock::group_table_first)},
    {"Superblock", "group_table_blocks", offsetof(format::Superblock, group_table_blocks),
     sizeof(format::Superblock::group_table_blocks)},
    {"Superblock", "reserved0", offsetof(format::Superblock, reserved0), sizeof(format::Superblock::reserved0)},
    {"Superblock", "log_first", offsetof(format::Superblock, log_first), sizeof(format::Superblock::log_first)},
    {"Superblock", "log_blocks", offsetof(format::Superblock, log_blocks), sizeof(format::Superblock::log_blocks)},
    {"Superblock", "log_epoch", offsetof(format::Superblock, log_epoch), sizeof(format::Superblock::log_epoch)},
    {"Superblock", "log_start", offsetof(format::Superblock, log_start), sizeof(format::Superblock::log_start)},
    {"Superblock", "log_start_chain", offsetof(format::Superblock, log_start_chain),
     sizeof(format::Superblock::log_start_chain)},
    {"Superblock", "mount_count", offsetof(format::Superblock, mount_count), sizeof(format::Superblock::mount_count)},
    {"Superblock", "created_time", offsetof(format::Superblock, created_time),
     sizeof(format::Superblock::created_time)},
    {"Superblock", "mounted_time", offsetof(format::Superblock, mounted_time),
     sizeof(format::Superblock::mounted_time)},
    {"Superblock", "written_time", offsetof(format::Superblock, written_time),
     sizeof(format::Superblock::written_time)},
    {"Superblock", "item_count", offsetof(format::Superblock, item_count), sizeof(format::Superblock::item_count)},
    {"Superblock", "metadata_errors", offsetof(format::Superblock, metadata_errors),
     sizeof(format::Superblock::metadata_errors)},
    {"Superblock", "metadata_healed", offsetof(format::Superblock, metadata_healed),
     sizeof(format::Superblock::metadata_healed)},
    {"Superblock", "data_errors", offsetof(format::Superblock, data_errors), sizeof(format::Superblock::data_errors)},
    {"Superblock", "failure_count", offsetof(format::Superblock, failure_count),
     sizeof(format::Superblock::failure_count)},
    {"Superblock", "first_failure", offsetof(format::Superblock, first_failure),
     sizeof(format::Superblock::first_failure)},
    {"Superblock", "last_failure", offsetof(format::Superblock, last_failure),
     sizeof(format::Superblock::last_failure)},
    {"FailureItem", "time", offsetof(format::FailureItem, time), sizeof(format::FailureItem::time)},
    {"FailureItem", "reason", offsetof(format::FailureItem, reason), sizeof(format::FailureItem::reason)},
    {"Superblock", "user_uuid", offsetof(format::Superblock, user_uuid), sizeof(format::Superblock::user_uuid)},
    {"Superblock", "reserved", offsetof(format::Superblock, reserved), sizeof(format::Superblock::reserved)},
    {"NodePointerItem", "address", offsetof(format::NodePointerItem, address),
     sizeof(format::NodePointerItem::address)},
    {"NodePointerItem", "generation", offsetof(format::NodePointerItem, generation),
     sizeof(format::NodePointerItem::generation)},
    {"NodePointerItem", "crc", offsetof(format::NodePointerItem, crc), sizeof(format::NodePointerItem::crc)},
    {"NodePointerItem", "level", offsetof(format::NodePointerItem, level), sizeof(format::NodePointerItem::level)},
    {"NodePointerItem", "reserved", offsetof(format::NodePointerItem, reserved),
     sizeof(format::NodePointerItem::reserved)},
    {"GroupTableHeader", "magic", offsetof(format::GroupTableHeader, magic), sizeof(format::GroupTableHeader::magic)},
    {"GroupTableHeader", "crc", offsetof(format::GroupTableHeader, crc), sizeof(format::GroupTableHeader::crc)},
    {"GroupTableHeader", "uuid", offsetof(format::GroupTableHeader, uuid), sizeof(format::GroupTableHeader::uuid)},
    {"GroupTableHeader", "generation", offsetof(format::GroupTableHeader, generation),
     sizeof(format::GroupTableHeader::generation)},
    {"GroupTableHeader", "index", offsetof(format::GroupTableHeader, index), sizeof(format::GroupTableHeader::index)},
    {"GroupTableHeader", "count", offsetof(format::GroupTableHeader, count), sizeof(format::GroupTableHeader::count)},
    {"GroupTableHeader", "reserved", offsetof(format::GroupTableHeader, reserved),
     sizeof(format::GroupTableHeader::reserved)},
    {"GroupEntry", "bitmap_crc", offsetof(format::GroupEntry, bitmap_crc), sizeof(format::GroupEntry::bitmap_crc)},
    {"GroupEntry", "free_blocks", offsetof(format::GroupEntry, free_blocks), sizeof(format::GroupEntry::free_blocks)},
    {"GroupEntry", "generation", offsetof(format::GroupEntry, generation), sizeof(format::GroupEntry::generation)},
    {"GroupEntry", "flags", offsetof(format::GroupEntry, flags), sizeof(format::GroupEntry::flags)},
    {"GroupEntry", "reserved0", offsetof(format::GroupEntry, reserved0), sizeof(format::GroupEntry::reserved0)},
    {"GroupEntry", "reserved1", offsetof(format::GroupEntry, reserved1), sizeof(format::GroupEntry::reserved1)},
    {"NodeHeader", "magic", offsetof(format::NodeHeader, magic), sizeof(format::NodeHeader::magic)},
    {"NodeHeader", "crc", offsetof(format::NodeHeader, crc), sizeof(format::NodeHeader::crc)},
    {"NodeHeader", "uuid", offsetof(format::NodeHeader, uuid), sizeof(format::NodeHeader::uuid)},
    {"NodeHeader", "address", offsetof(format::NodeHeader, address), sizeof(format::NodeHeader::address)},
    {"NodeHeader", "generation", offsetof(format::NodeHeader, generation), sizeof(format::NodeHeader::generation)},
    {"NodeHeader", "level", offsetof(format::NodeHeader, level), sizeof(format::NodeHeader::level)},
    {"NodeHeader", "flags", offsetof(format::NodeHeader, flags), sizeof(format::NodeHeader::flags)},
    {"NodeHeader", "count", offsetof(format::NodeHeader, count), sizeof(format::NodeHeader::count)},
    {"NodeHeader", "values_start", offsetof(format::NodeHeader, values_start),
     sizeof(format::NodeHeader::values_start)},
    {"NodeHeader", "tree", offsetof(format::NodeHeader, tree), sizeof(format::NodeHeader::tree)},
    {"NodeHeader", "reserved", offsetof(format::NodeHeader, reserved), sizeof(format::NodeHeader::reserved)},
    {"LeafItem", "inode", offsetof(format::LeafItem, inode), sizeof(format::LeafItem::inode)},
    {"LeafItem", "offset", offsetof(format::LeafItem, offset), sizeof(format::LeafItem::offset)},
    {"LeafItem", "value_offset", offsetof(format::LeafItem, value_offset), sizeof(format::LeafItem::value_offset)},
    {"LeafItem", "value_size", offsetof(format::LeafItem, value_size), sizeof(format::LeafItem::value_size)},
    {"LeafItem", "kind", offsetof(format::LeafItem, kind), sizeof(format::LeafItem::kind)},
    {"LeafItem", "reserved", offsetof(format::LeafItem, reserved), sizeof(format::LeafItem::reserved)},
    {"InternalEntry", "inode", offsetof(format::InternalEntry, inode), sizeof(format::InternalEntry::inode)},
    {"InternalEntry", "offset", offsetof(format::InternalEntry, offset), sizeof(format::InternalEntry::offset)},
    {"InternalEntry", "address", offsetof(format::InternalEntry, address), sizeof(format::InternalEntry::address)},
    {"InternalEntry", "generation", offsetof(format::InternalEntry, generation),
     sizeof(format::InternalEntry::generation)},
    {"InternalEntry", "crc", offsetof(format::InternalEntry, crc), sizeof(format::InternalEntry::crc)},
    {"InternalEntry", "kind", offsetof(format::InternalEntry, kind), sizeof(format::InternalEntry::kind)},
    {"InternalEntry", "reserved", offsetof(format::InternalEntry, reserved), sizeof(format::InternalEntry::reserved)},
    {"InodeItem", "mode", offsetof(format::InodeItem, mode), sizeof(format::InodeItem::mode)},
    {"InodeItem", "links", offsetof(format::InodeItem, links), sizeof(format::InodeItem::links)},
    {"InodeItem", "uid", offsetof(format::InodeItem, uid), sizeof(format::InodeItem::uid)},
    {"InodeItem", "gid", offsetof(format::InodeItem, gid), sizeof(format::InodeItem::gid)},
    {"InodeItem", "size", offsetof(format::InodeItem, size), sizeof(format::InodeItem::size)},
    {"InodeItem", "blocks", offsetof(format::InodeItem, blocks), sizeof(format::InodeItem::blocks)},
    {"InodeItem", "generation", offsetof(format::InodeItem, generation), sizeof(format::InodeItem::generation)},
    {"InodeItem", "parent", offsetof(format::InodeItem, parent), sizeof(format::InodeItem::parent)},
    {"InodeItem", "flags", offsetof(format::InodeItem, flags), sizeof(format::InodeItem::flags)},
    {"InodeItem", "device", offsetof(format::InodeItem, device), sizeof(format::InodeItem::device)},
    {"InodeItem", "accessed", offsetof(format::InodeItem, accessed), sizeof(format::InodeItem::accessed)},
    {"InodeItem", "modified", offsetof(format::InodeItem, modified), sizeof(format::InodeItem::modified)},
    {"InodeItem", "changed", offsetof(format::InodeItem, changed), sizeof(format::InodeItem::changed)},
    {"InodeItem", "born", offsetof(format::InodeItem, born), sizeof(format::InodeItem::born)},
    {"InodeItem", "entries", offsetof(format::InodeItem, entries), sizeof(format::InodeItem::entries)},
    {"InodeItem", "version", offsetof(format::InodeItem, version), sizeof(format::InodeItem::version)},
    {"InodeItem", "project", offsetof(format::InodeItem, project), sizeof(format::InodeItem::project)},
    {"InodeItem", "xattrs", offsetof(format::InodeItem, xattrs), sizeof(format::InodeItem::xattrs)},
    {"InodeItem", "reserved", offsetof(format::InodeItem, reserved), sizeof(format::InodeItem::reserved)},
    {"TimeItem", "seconds", offsetof(format::TimeItem, seconds), sizeof(format::TimeItem::seconds)},
    {"TimeItem", "nanoseconds", offsetof(format::TimeItem, nanoseconds), sizeof(format::TimeItem::nanoseconds)},
    {"DirentEntry", "inode", offsetof(format::DirentEntry, inode), sizeof(format::DirentEntry::inode)},
    {"DirentEntry", "name_length", offsetof(format::DirentEntry, name_length),
     sizeof(format::DirentEntry::name_length)},
    {"DirentEntry", "type", offsetof(format::DirentEntry, type), sizeof(format::DirentEntry::type)},
    {"DirentEntry", "reserved", offsetof(format::DirentEntry, reserved), sizeof(format::DirentEntry::reserved)},
    {"XattrEntry", "name_length", offsetof(format::XattrEntry, name_length), sizeof(format::XattrEntry::name_length)},
    {"XattrEntry", "flags", offsetof(format::XattrEntry, flags), sizeof(format::XattrEntry::flags)},
    {"XattrEntry", "reserved", offsetof(format::XattrEntry, reserved), sizeof(format::XattrEntry::reserved)},
    {"XattrEntry", "value_size", offsetof(format::XattrEntry, value_size), sizeof(format::XattrEntry::value_size)},
    {"XattrEntry", "value_id", offsetof(format::XattrEntry, value_id), sizeof(format::XattrEntry::value_id)},
    {"ExtentItem", "physical", offsetof(format::ExtentItem, physical), sizeof(format::ExtentItem::physical)},
    {"ExtentItem", "count", offsetof(format::ExtentItem, count), sizeof(format::ExtentItem::count)},
    {"ExtentItem", "flags", offsetof(format::ExtentItem, flags), sizeof(format::ExtentItem::flags)},
    {"ExtentItem", "encoding", offsetof(format::ExtentItem, encoding), sizeof(format::ExtentItem::encoding)},
    {"ExtentItem", "reserved", offsetof(format::ExtentItem, reserved), sizeof(format::ExtentItem::reserved)},
    {"ExtentItem", "birth", offsetof(format::ExtentItem, birth), sizeof(format::ExtentItem::birth)},
    {"OrphanItem", "generation", offsetof(format::OrphanItem, generation), sizeof(format::OrphanItem::generation)},
    {"OrphanItem", "reason", offsetof(format::OrphanItem, reason), sizeof(format::OrphanItem::reason)},
    {"OrphanItem", "reserved", offsetof(format::OrphanItem, reserved), sizeof(format::OrphanItem::reserved)},
    {"ChunkHeader", "magic", offsetof(format::ChunkHeader, magic), sizeof(format::ChunkHeader::magic)},
    {"ChunkHeader", "crc", offsetof(format::ChunkHeader, crc), sizeof(format::ChunkHeader::crc)},
    {"ChunkHeader", "uuid", offsetof(format::ChunkHeader, uuid), sizeof(format::ChunkHeader::uuid)},
    {"ChunkHeader", "epoch", offsetof(format::ChunkHeader, epoch), sizeof(format::ChunkHeader::epoch)},
    {"ChunkHeader", "lsn", offsetof(format::ChunkHeader, lsn), sizeof(format::ChunkHeader::lsn)},
    {"ChunkHeader", "length", offsetof(format::ChunkHeader, length), sizeof(format::ChunkHeader::length)},
    {"ChunkHeader", "record_count", offsetof(format::ChunkHeader, record_count),
     sizeof(format::ChunkHeader::record_count)},
    {"ChunkHeader", "previous_crc", offsetof(format::ChunkHeader, previous_crc),
     sizeof(format::ChunkHeader::previous_crc)},
    {"ChunkHeader", "reserved", offsetof(format::ChunkHeader, reserved), sizeof(format::ChunkHeader::reserved)},
    {"ChunkHeader", "durable", offsetof(format::ChunkHeader, durable), sizeof(format::ChunkHeader::durable)},
    {"RecordHeader", "length", offsetof(format::RecordHeader, length), sizeof(format::RecordHeader::length)},
    {"RecordHeader", "op_count", offsetof(format::RecordHeader, op_count), sizeof(format::RecordHeader::op_count)},
    {"RecordHeader", "reserved", offsetof(format::RecordHeader, reserved), sizeof(format::RecordHeader::reserved)},
    {"LogOp", "op", offsetof(format::LogOp, op), sizeof(format::LogOp::op)},
    {"LogOp", "key_kind", offsetof(format::LogOp, key_kind), sizeof(format::LogOp::key_kind)},
    {"LogOp", "size", offsetof(format::LogOp, size), sizeof(format::LogOp::size)},
    {"LogOp", "a", offsetof(format::LogOp, a), sizeof(format::LogOp::a)},
    {"LogOp", "b", offsetof(format::LogOp, b), sizeof(format::LogOp::b)},
};

using Place = std::pair<std::size_t, std::size_t>;

// By "Structure.field".
std::map<std::string, Place> documented_fields() {
  std::map<std::string, Place> fields;
  std::ifstream page(ASHLAR_FORMAT_PAGE);
  const std::regex heading(R"(\*\*(\w+)\*\* \(\d+ bytes\))");
  const std::regex row(R"(\| (\d+) \| (\d+) \| `(\w+)` \|.*)");
  std::string structure;
  for (std::string line; std::getline(page, line);) {
    std::smatch match;
    if (std::regex_match(line, match, heading)) structure = match[1];
    if (std::regex_match(line, match, row)) {
      fields[structure + "." + match[3].str()] = Place{std::stoul(match[1]), std::stoul(match[2])};
    }
  }
  return fields;
}

TEST(FormatPageTest, TellsEveryFieldsPlaceAndNoOther) {
  const auto documented = documented_fields();
  EXPECT_EQ(documented.size(), std::size(kFields));
  for (const Field& field : kFields) {
    const std::string name = std::string(field.structure) + "." + field.name;
    const auto found = documented.find(name);
    ASSERT_NE(found, documented.end()) << name;
    EXPECT_EQ(found->second, Place(field.offset, field.size)) << name;
  }
}

}  // namespace
}  // namespace ashlar
