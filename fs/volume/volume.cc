// A volume's life: mounting, syncing, closing.
#include "fs/volume/volume.h"

#include <fmt/core.h>

#include <vector>

#include "fs/volume/operation.h"

namespace ashlar::volume {
namespace {

// Orphan items read at a time.
constexpr std::size_t kOrphansPerBatch = 256;

struct Orphan {
  InodeNumber inode;
  format::OrphanReason reason{};
};

// The orphan items after `after`; fewer than kOrphansPerBatch at the end.
Result<std::vector<Orphan>> read_orphans(VolumeState& volume, blockio::IoQueue& io, std::uint64_t after) {
  std::vector<Orphan> orphans;
  Status parsed;
  TRY(volume.store->scan(io, orphan_key(InodeNumber{after + 1}), orphan_key(InodeNumber{~0ULL}),
                         [&](const format::Key& key, std::span<const std::byte> value) {
                           const auto item = format::parse_orphan(value);
                           if (!item) {
                             parsed = fail(ErrorCode::corrupt_structure, "orphan item: malformed");
                             return false;
                           }
                           orphans.push_back({InodeNumber{key.offset}, format::OrphanReason{item->reason}});
                           return orphans.size() < kOrphansPerBatch;
                         }));
  if (!parsed) return fail(std::move(parsed).error());
  return orphans;
}

// Hands the truncations and removals that a crash interrupted to the reaper.
Status resume_orphans(VolumeState& volume, blockio::IoQueue& io) {
  std::uint64_t after = 0;
  for (;;) {
    const std::vector<Orphan> orphans = TRY(read_orphans(volume, io, after));
    for (const Orphan& orphan : orphans) volume.reaper.adopt(orphan.inode, orphan.reason);
    if (orphans.size() < kOrphansPerBatch || orphans.back().inode.value() == ~0ULL) return {};
    after = orphans.back().inode.value();
  }
}

}  // namespace

Volume::Volume(std::unique_ptr<VolumeState> state) : state_(std::move(state)) {}

Volume::~Volume() = default;

Result<std::unique_ptr<Volume>> Volume::open(blockio::BlockDevice& device, blockio::IoQueue& io,
                                             const VolumeOptions& options) {
  store::StoreOptions store_options = options.store;
  store_options.cache_bytes -= store_options.cache_bytes / kInodeShareOfCache;
  auto store = TRY(store::Store::open(device, io, store_options));
  auto state = std::make_unique<VolumeState>(std::move(store), device, options);
  {
    const auto root = state->inodes.acquire(io, kRootInode);
    if (!root || !(*root)->is_directory()) {
      return fail(ErrorCode::corrupt_structure, fmt::format("{}: no root directory", device.name()));
    }
  }
  if (!state->store->read_only()) {
    if (options.store.background) TRY(state->reaper.start(device, options.store.queue));
    TRY(resume_orphans(*state, io));
    if (!options.store.background) state->reaper.finish(io);
  }
  return std::unique_ptr<Volume>(new Volume(std::move(state)));
}

Status Volume::close(blockio::IoQueue& io) {
  write_access_times(*state_, io);
  static_cast<void>(state_->accesses.take_all());  // what could not be written is let go of
  state_->inodes.drop_all_references();
  state_->reaper.stop();
  if (!state_->store->read_only()) state_->reaper.finish(io);
  return state_->store->close(io);
}

store::Store& Volume::store() noexcept { return *state_->store; }

Status Volume::sync_inode(Context& context, InodeNumber number, bool data_only) {
  static_cast<void>(data_only);  // one log holds everything, so there is nothing to leave out
  const InodeRef inode = TRY(state_->inodes.acquire(context.io, number));
  write_access_time(*state_, context.io, *inode);
  TRY(state_->in_place_writes.flush(*state_->store, context.io));
  return state_->store->sync(context.io, Lsn{inode->changed_lsn.load(std::memory_order_relaxed)});
}

Status Volume::sync_all(Context& context) {
  write_access_times(*state_, context.io);
  TRY(state_->in_place_writes.flush(*state_->store, context.io));
  return state_->store->sync(context.io);
}

void Volume::stop(std::string reason) {
  state_->stopped.store(true, std::memory_order_relaxed);
  state_->store->shut_down(std::move(reason));
}

VolumeSpace Volume::space() const {
  // What a small file takes of the tree, at least.
  constexpr std::uint64_t kBytesPerInode = 1024;
  const store::Space space = state_->store->space();
  VolumeSpace result;
  result.block_size = state_->block_size;
  result.blocks = space.total;
  result.free = space.free;
  result.available = space.available;
  result.inodes = state_->store->item_count(format::ItemKind::inode);
  result.inodes_free = space.available * state_->block_size / kBytesPerInode;
  return result;
}

}  // namespace ashlar::volume
