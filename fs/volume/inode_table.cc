#include "fs/volume/inode_table.h"

#include <sys/stat.h>
#include <tsl/robin_map.h>

#include <algorithm>
#include <utility>

#include "fs/volume/inode_item.h"

namespace ashlar::volume {

bool Inode::is_directory() const noexcept { return S_ISDIR(type_); }
bool Inode::is_regular() const noexcept { return S_ISREG(type_); }

InodeRef::InodeRef(InodeRef&& other) noexcept
    : table_(std::exchange(other.table_, nullptr)), inode_(std::exchange(other.inode_, nullptr)) {}

InodeRef& InodeRef::operator=(InodeRef&& other) noexcept {
  std::swap(table_, other.table_);
  std::swap(inode_, other.inode_);
  return *this;
}

void InodeRef::reset() noexcept {
  if (inode_ != nullptr) table_->unpin(*inode_);
  table_ = nullptr;
  inode_ = nullptr;
}

struct InodeTable::Shard {
  mutable std::mutex mutex;
  tsl::robin_map<std::uint64_t, std::unique_ptr<Inode>> inodes;
  // At least what every inode that left the shard was changed at.
  std::uint64_t retired_lsn = 0;
};

InodeTable::InodeTable(store::Store& store) : store_(store), shards_(std::make_unique<std::array<Shard, kShards>>()) {}

InodeTable::~InodeTable() = default;

InodeTable::Shard& InodeTable::shard_of(InodeNumber number) const noexcept {
  return (*shards_)[number.value() % kShards];
}

Result<InodeRef> InodeTable::acquire(blockio::IoQueue& io, InodeNumber number) {
  Shard& shard = shard_of(number);
  Inode* inode = nullptr;
  {
    const std::lock_guard guard(shard.mutex);
    auto found = shard.inodes.find(number.value());
    if (found == shard.inodes.end()) {
      found = shard.inodes.emplace(number.value(), std::make_unique<Inode>(number)).first;
      found.value()->changed_lsn.store(shard.retired_lsn, std::memory_order_relaxed);
    }
    inode = found->second.get();
    if (inode->doomed_) return fail(ErrorCode::stale_handle);
    ++inode->pins_;
  }
  InodeRef ref(*this, *inode);
  if (!inode->loaded_.load(std::memory_order_acquire)) TRY(load(io, *inode));
  return ref;
}

Status InodeTable::load(blockio::IoQueue& io, Inode& inode) {
  const std::lock_guard guard(loading_[inode.number().value() % kShards]);
  if (inode.loaded_.load(std::memory_order_acquire)) return {};
  store::ItemValue value;
  if (!TRY(store_.get(io, {inode.number(), format::ItemKind::inode, 0}, value))) return fail(ErrorCode::stale_handle);
  inode.item = TRY(format::parse_inode(value));
  // An inode without names that is not in the table is being removed, or will be.
  if (inode.item.links == 0) return fail(ErrorCode::stale_handle);
  inode.type_ = inode.item.mode & S_IFMT;
  inode.truncation_unfinished = TRY(is_half_truncated(io, inode));
  inode.loaded_.store(true, std::memory_order_release);
  return {};
}

// Whether a truncation was left unfinished when the inode was last used.
Result<bool> InodeTable::is_half_truncated(blockio::IoQueue& io, const Inode& inode) {
  if (!inode.is_regular() || store_.item_count(format::ItemKind::orphan) == 0) return false;
  store::ItemValue value;
  if (!TRY(store_.get(io, orphan_key(inode.number()), value))) return false;
  const auto orphan = TRY(format::parse_orphan(value));
  return format::OrphanReason{orphan.reason} == format::OrphanReason::truncated;
}

InodeRef InodeTable::create(InodeNumber number, const format::InodeItem& item) {
  auto inode = std::make_unique<Inode>(number);
  inode->item = item;
  inode->type_ = item.mode & S_IFMT;
  inode->loaded_.store(true, std::memory_order_release);
  inode->pins_ = 1;
  Inode* const made = inode.get();
  Shard& shard = shard_of(number);
  const std::lock_guard guard(shard.mutex);
  shard.inodes.insert_or_assign(number.value(), std::move(inode));
  return {*this, *made};
}

void InodeTable::add_reference(Inode& inode) {
  const std::lock_guard guard(shard_of(inode.number()).mutex);
  ++inode.references_;
}

void InodeTable::drop_references(InodeNumber number, std::uint64_t count) {
  Shard& shard = shard_of(number);
  const std::lock_guard guard(shard.mutex);
  const auto found = shard.inodes.find(number.value());
  if (found == shard.inodes.end()) return;
  Inode& inode = *found->second;
  inode.references_ -= std::min(inode.references_, count);
  retire(shard, inode);
}

void InodeTable::drop_all_references() {
  for (Shard& shard : *shards_) {
    const std::lock_guard guard(shard.mutex);
    std::vector<Inode*> held;
    for (const auto& [number, inode] : shard.inodes) held.push_back(inode.get());
    for (Inode* inode : held) {
      inode->references_ = 0;
      retire(shard, *inode);
    }
  }
}

void InodeTable::unpin(Inode& inode) noexcept {
  Shard& shard = shard_of(inode.number());
  const std::lock_guard guard(shard.mutex);
  --inode.pins_;
  retire(shard, inode);
}

void InodeTable::retire(Shard& shard, Inode& inode) noexcept {
  if (inode.pins_ != 0 || inode.references_ != 0 || inode.doomed_) return;
  if (inode.unlinked.load(std::memory_order_relaxed)) {
    inode.doomed_ = true;
    const std::lock_guard guard(doomed_lock_);
    doomed_.push_back(inode.number());
    return;
  }
  shard.retired_lsn = std::max(shard.retired_lsn, inode.changed_lsn.load(std::memory_order_relaxed));
  shard.inodes.erase(inode.number().value());
}

std::optional<InodeNumber> InodeTable::next_doomed() {
  const std::lock_guard guard(doomed_lock_);
  if (doomed_.empty()) return std::nullopt;
  const InodeNumber number = doomed_.back();
  doomed_.pop_back();
  return number;
}

bool InodeTable::has_doomed() {
  const std::lock_guard guard(doomed_lock_);
  return !doomed_.empty();
}

void InodeTable::forget_doomed(InodeNumber number) {
  Shard& shard = shard_of(number);
  const std::lock_guard guard(shard.mutex);
  shard.inodes.erase(number.value());
}

std::size_t InodeTable::size() const {
  std::size_t sum = 0;
  for (const Shard& shard : *shards_) {
    const std::lock_guard guard(shard.mutex);
    sum += shard.inodes.size();
  }
  return sum;
}

InodeLocks::InodeLocks(std::initializer_list<Inode*> inodes) {
  for (Inode* inode : inodes) {
    if (inode != nullptr) locked_[count_++] = inode;
  }
  const auto begin = locked_.begin();
  std::sort(begin, begin + count_, [](const Inode* a, const Inode* b) { return a->number() < b->number(); });
  count_ = static_cast<std::size_t>(std::unique(begin, begin + count_) - begin);
  for (std::size_t i = 0; i < count_; ++i) locked_[i]->lock.lock();
}

InodeLocks::~InodeLocks() {
  for (std::size_t i = count_; i > 0; --i) locked_[i - 1]->lock.unlock();
}

}  // namespace ashlar::volume
