// The on-disk format, nailed down: every size and offset, in one place. A change here is a change of format.
#include <cstddef>

#include "fs/format/host_claim.h"
#include "fs/format/items.h"
#include "fs/format/layout.h"
#include "fs/format/log.h"
#include "fs/format/node.h"
#include "fs/format/superblock.h"

namespace ashlar::format {
namespace {

static_assert(sizeof(NodePointerItem) == 32 && alignof(NodePointerItem) == 1);
static_assert(offsetof(NodePointerItem, address) == 0);
static_assert(offsetof(NodePointerItem, generation) == 16);
static_assert(offsetof(NodePointerItem, crc) == 24);
static_assert(offsetof(NodePointerItem, level) == 28);
static_assert(offsetof(NodePointerItem, reserved) == 29);

static_assert(sizeof(HostClaim) == 4096 && alignof(HostClaim) == 1);
static_assert(offsetof(HostClaim, magic) == 0);
static_assert(offsetof(HostClaim, crc) == 4);
static_assert(offsetof(HostClaim, uuid) == 8);
static_assert(offsetof(HostClaim, sequence) == 24);
static_assert(offsetof(HostClaim, time) == 32);
static_assert(offsetof(HostClaim, interval) == 40);
static_assert(offsetof(HostClaim, reserved0) == 44);
static_assert(offsetof(HostClaim, boot_id) == 48);
static_assert(offsetof(HostClaim, host) == 64);
static_assert(offsetof(HostClaim, reserved) == 128);

static_assert(sizeof(Superblock) == 4096 && alignof(Superblock) == 1);
static_assert(offsetof(Superblock, magic) == 0);
static_assert(offsetof(Superblock, crc) == 8);
static_assert(offsetof(Superblock, version) == 12);
static_assert(offsetof(Superblock, uuid) == 16);
static_assert(offsetof(Superblock, label) == 32);
static_assert(offsetof(Superblock, compatible) == 96);
static_assert(offsetof(Superblock, read_only_compatible) == 104);
static_assert(offsetof(Superblock, incompatible) == 112);
static_assert(offsetof(Superblock, block_size) == 120);
static_assert(offsetof(Superblock, node_size) == 124);
static_assert(offsetof(Superblock, block_count) == 128);
static_assert(offsetof(Superblock, generation) == 136);
static_assert(offsetof(Superblock, flags) == 144);
static_assert(offsetof(Superblock, group_table_crc) == 148);
static_assert(offsetof(Superblock, hash_seed) == 152);
static_assert(offsetof(Superblock, root) == 168);
static_assert(offsetof(Superblock, node_count) == 200);
static_assert(offsetof(Superblock, free_blocks) == 208);
static_assert(offsetof(Superblock, next_inode) == 216);
static_assert(offsetof(Superblock, group_table_first) == 224);
static_assert(offsetof(Superblock, group_table_blocks) == 240);
static_assert(offsetof(Superblock, reserved0) == 244);
static_assert(offsetof(Superblock, log_first) == 248);
static_assert(offsetof(Superblock, log_blocks) == 256);
static_assert(offsetof(Superblock, log_epoch) == 264);
static_assert(offsetof(Superblock, log_start) == 272);
static_assert(offsetof(Superblock, log_start_chain) == 280);
static_assert(offsetof(Superblock, mount_count) == 284);
static_assert(offsetof(Superblock, created_time) == 288);
static_assert(offsetof(Superblock, mounted_time) == 296);
static_assert(offsetof(Superblock, written_time) == 304);
static_assert(offsetof(Superblock, item_count) == 312);
static_assert(offsetof(Superblock, metadata_errors) == 440);
static_assert(offsetof(Superblock, metadata_healed) == 448);
static_assert(offsetof(Superblock, data_errors) == 456);
static_assert(offsetof(Superblock, failure_count) == 464);
static_assert(offsetof(Superblock, first_failure) == 472);
static_assert(offsetof(Superblock, last_failure) == 600);
static_assert(offsetof(Superblock, user_uuid) == 728);
static_assert(offsetof(Superblock, reserved) == 744);

static_assert(sizeof(FailureItem) == 128 && alignof(FailureItem) == 1);
static_assert(offsetof(FailureItem, time) == 0);
static_assert(offsetof(FailureItem, reason) == 8);

static_assert(sizeof(GroupTableHeader) == 64 && alignof(GroupTableHeader) == 1);
static_assert(offsetof(GroupTableHeader, magic) == 0);
static_assert(offsetof(GroupTableHeader, crc) == 4);
static_assert(offsetof(GroupTableHeader, uuid) == 8);
static_assert(offsetof(GroupTableHeader, generation) == 24);
static_assert(offsetof(GroupTableHeader, index) == 32);
static_assert(offsetof(GroupTableHeader, count) == 36);
static_assert(offsetof(GroupTableHeader, reserved) == 40);

static_assert(sizeof(GroupEntry) == 32 && alignof(GroupEntry) == 1);
static_assert(offsetof(GroupEntry, bitmap_crc) == 0);
static_assert(offsetof(GroupEntry, free_blocks) == 4);
static_assert(offsetof(GroupEntry, generation) == 8);
static_assert(offsetof(GroupEntry, flags) == 16);
static_assert(offsetof(GroupEntry, reserved0) == 20);
static_assert(offsetof(GroupEntry, reserved1) == 24);

static_assert(sizeof(NodeHeader) == 64 && alignof(NodeHeader) == 1);
static_assert(offsetof(NodeHeader, magic) == 0);
static_assert(offsetof(NodeHeader, crc) == 4);
static_assert(offsetof(NodeHeader, uuid) == 8);
static_assert(offsetof(NodeHeader, address) == 24);
static_assert(offsetof(NodeHeader, generation) == 40);
static_assert(offsetof(NodeHeader, level) == 48);
static_assert(offsetof(NodeHeader, flags) == 49);
static_assert(offsetof(NodeHeader, count) == 50);
static_assert(offsetof(NodeHeader, values_start) == 52);
static_assert(offsetof(NodeHeader, tree) == 56);
static_assert(offsetof(NodeHeader, reserved) == 60);

static_assert(sizeof(LeafItem) == 24 && alignof(LeafItem) == 1);
static_assert(offsetof(LeafItem, inode) == 0);
static_assert(offsetof(LeafItem, offset) == 8);
static_assert(offsetof(LeafItem, value_offset) == 16);
static_assert(offsetof(LeafItem, value_size) == 18);
static_assert(offsetof(LeafItem, kind) == 20);
static_assert(offsetof(LeafItem, reserved) == 21);

static_assert(sizeof(InternalEntry) == 48 && alignof(InternalEntry) == 1);
static_assert(offsetof(InternalEntry, inode) == 0);
static_assert(offsetof(InternalEntry, offset) == 8);
static_assert(offsetof(InternalEntry, address) == 16);
static_assert(offsetof(InternalEntry, generation) == 32);
static_assert(offsetof(InternalEntry, crc) == 40);
static_assert(offsetof(InternalEntry, kind) == 44);
static_assert(offsetof(InternalEntry, reserved) == 45);

static_assert(sizeof(TimeItem) == 12 && alignof(TimeItem) == 1);
static_assert(offsetof(TimeItem, seconds) == 0);
static_assert(offsetof(TimeItem, nanoseconds) == 8);

static_assert(sizeof(InodeItem) == 144 && alignof(InodeItem) == 1);
static_assert(offsetof(InodeItem, mode) == 0);
static_assert(offsetof(InodeItem, links) == 4);
static_assert(offsetof(InodeItem, uid) == 8);
static_assert(offsetof(InodeItem, gid) == 12);
static_assert(offsetof(InodeItem, size) == 16);
static_assert(offsetof(InodeItem, blocks) == 24);
static_assert(offsetof(InodeItem, generation) == 32);
static_assert(offsetof(InodeItem, parent) == 40);
static_assert(offsetof(InodeItem, flags) == 48);
static_assert(offsetof(InodeItem, device) == 52);
static_assert(offsetof(InodeItem, accessed) == 56);
static_assert(offsetof(InodeItem, modified) == 68);
static_assert(offsetof(InodeItem, changed) == 80);
static_assert(offsetof(InodeItem, born) == 92);
static_assert(offsetof(InodeItem, entries) == 104);
static_assert(offsetof(InodeItem, version) == 112);
static_assert(offsetof(InodeItem, project) == 120);
static_assert(offsetof(InodeItem, xattrs) == 124);
static_assert(offsetof(InodeItem, reserved) == 128);

static_assert(sizeof(DirentEntry) == 12 && alignof(DirentEntry) == 1);
static_assert(offsetof(DirentEntry, inode) == 0);
static_assert(offsetof(DirentEntry, name_length) == 8);
static_assert(offsetof(DirentEntry, type) == 10);
static_assert(offsetof(DirentEntry, reserved) == 11);

static_assert(sizeof(XattrEntry) == 16 && alignof(XattrEntry) == 1);
static_assert(offsetof(XattrEntry, name_length) == 0);
static_assert(offsetof(XattrEntry, flags) == 2);
static_assert(offsetof(XattrEntry, reserved) == 3);
static_assert(offsetof(XattrEntry, value_size) == 4);
static_assert(offsetof(XattrEntry, value_id) == 8);

static_assert(sizeof(ExtentItem) == 24 && alignof(ExtentItem) == 1);
static_assert(offsetof(ExtentItem, physical) == 0);
static_assert(offsetof(ExtentItem, count) == 8);
static_assert(offsetof(ExtentItem, flags) == 12);
static_assert(offsetof(ExtentItem, encoding) == 13);
static_assert(offsetof(ExtentItem, reserved) == 14);
static_assert(offsetof(ExtentItem, birth) == 16);

static_assert(sizeof(OrphanItem) == 16 && alignof(OrphanItem) == 1);
static_assert(offsetof(OrphanItem, generation) == 0);
static_assert(offsetof(OrphanItem, reason) == 8);
static_assert(offsetof(OrphanItem, reserved) == 9);

static_assert(sizeof(ChunkHeader) == 64 && alignof(ChunkHeader) == 1);
static_assert(offsetof(ChunkHeader, magic) == 0);
static_assert(offsetof(ChunkHeader, crc) == 4);
static_assert(offsetof(ChunkHeader, uuid) == 8);
static_assert(offsetof(ChunkHeader, epoch) == 24);
static_assert(offsetof(ChunkHeader, lsn) == 32);
static_assert(offsetof(ChunkHeader, length) == 40);
static_assert(offsetof(ChunkHeader, record_count) == 44);
static_assert(offsetof(ChunkHeader, previous_crc) == 48);
static_assert(offsetof(ChunkHeader, reserved) == 52);
static_assert(offsetof(ChunkHeader, durable) == 56);

static_assert(sizeof(RecordHeader) == 8 && alignof(RecordHeader) == 1);
static_assert(offsetof(RecordHeader, length) == 0);
static_assert(offsetof(RecordHeader, op_count) == 4);
static_assert(offsetof(RecordHeader, reserved) == 6);

static_assert(sizeof(LogOp) == 20 && alignof(LogOp) == 1);
static_assert(offsetof(LogOp, op) == 0);
static_assert(offsetof(LogOp, key_kind) == 1);
static_assert(offsetof(LogOp, size) == 2);
static_assert(offsetof(LogOp, a) == 4);
static_assert(offsetof(LogOp, b) == 12);

}  // namespace
}  // namespace ashlar::format
