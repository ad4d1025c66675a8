#include "fs/volume/inode_table.h"

#include <fmt/core.h>
#include <sys/stat.h>
#include <tsl/robin_map.h>

#include <algorithm>
#include <utility>

#include "fs/volume/inode_item.h"
#include "fs/volume/reference_counts.h"

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
  // How often the kernel refers to inodes that are not kept whole, by number / kShards.
  ReferenceCounts parked;
  // At least what every inode that left `inodes` was changed at.
  std::uint64_t retired_lsn = 0;
  // Those that no operation uses, by when they were used last.
  Inode* least_recent = nullptr;
  Inode* most_recent = nullptr;
  std::size_t idle = 0;

  void add_idle(Inode& inode) noexcept;
  void remove_idle(Inode& inode) noexcept;
  void erase(Inode& inode) noexcept;
};

void InodeTable::Shard::add_idle(Inode& inode) noexcept {
  inode.idle_ = true;
  inode.used_before_ = most_recent;
  (most_recent == nullptr ? least_recent : most_recent->used_after_) = &inode;
  most_recent = &inode;
  ++idle;
}

void InodeTable::Shard::remove_idle(Inode& inode) noexcept {
  if (!inode.idle_) return;
  (inode.used_before_ == nullptr ? least_recent : inode.used_before_->used_after_) = inode.used_after_;
  (inode.used_after_ == nullptr ? most_recent : inode.used_after_->used_before_) = inode.used_before_;
  inode.used_before_ = inode.used_after_ = nullptr;
  inode.idle_ = false;
  --idle;
}

void InodeTable::Shard::erase(Inode& inode) noexcept {
  remove_idle(inode);
  retired_lsn = std::max(retired_lsn, inode.changed_lsn.load(std::memory_order_relaxed));
  inodes.erase(inode.number().value());
}

InodeTable::InodeTable(store::Store& store, std::size_t most_idle)
    : store_(store),
      most_idle_per_shard_(most_idle / kShards),
      shards_(std::make_unique<std::array<Shard, kShards>>()) {}

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
      Inode& made = *found.value();
      made.changed_lsn.store(shard.retired_lsn, std::memory_order_relaxed);
      made.references_ = shard.parked.take(number.value() / kShards);
    }
    inode = found->second.get();
    if (inode->doomed_) return fail(ErrorCode::stale_handle);
    shard.remove_idle(*inode);
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
  const format::InodeItem item = TRY(format::parse_inode(value));
  // An inode without names that is not in the table is being removed, or will be.
  if (item.links == 0) return fail(ErrorCode::stale_handle);
  inode.truncation_unfinished = S_ISREG(item.mode) && TRY(is_half_truncated(io, inode.number()));
  fill(inode, item);
  return {};
}

// Whether a truncation was left unfinished when the inode was last used.
Result<bool> InodeTable::is_half_truncated(blockio::IoQueue& io, InodeNumber number) {
  if (store_.item_count(format::ItemKind::orphan) == 0) return false;
  store::ItemValue value;
  if (!TRY(store_.get(io, orphan_key(number), value))) return false;
  const auto orphan = TRY(format::parse_orphan(value));
  return format::OrphanReason{orphan.reason} == format::OrphanReason::truncated;
}

void InodeTable::fill(Inode& inode, const format::InodeItem& item) noexcept {
  inode.item = item;
  inode.type_ = item.mode & S_IFMT;
  inode.loaded_.store(true, std::memory_order_release);
}

Result<InodeRef> InodeTable::create(InodeNumber number, const format::InodeItem& item) {
  auto inode = std::make_unique<Inode>(number);
  fill(*inode, item);
  inode->pins_ = 1;
  Shard& shard = shard_of(number);
  InodeRef sought;
  {
    const std::lock_guard guard(shard.mutex);
    const auto [found, added] = shard.inodes.try_emplace(number.value(), std::move(inode));
    Inode& there = *found.value();
    if (added) return InodeRef(*this, there);
    if (!there.doomed_ && !there.loaded_.load(std::memory_order_acquire)) {
      shard.remove_idle(there);
      ++there.pins_;
      sought = InodeRef(*this, there);
    }
  }
  if (sought) {
    // Whoever looks for it has found that there is no item, or has not looked yet and finds this.
    const std::lock_guard guard(loading_[number.value() % kShards]);
    if (!sought->loaded_.load(std::memory_order_relaxed)) {
      fill(*sought, item);
      return sought;
    }
  }
  return fail(ErrorCode::corrupt_structure, fmt::format("the new inode number {} is in use", number.value()));
}

void InodeTable::add_reference(Inode& inode) {
  const std::lock_guard guard(shard_of(inode.number()).mutex);
  ++inode.references_;
}

void InodeTable::drop_references(InodeNumber number, std::uint64_t count) {
  Shard& shard = shard_of(number);
  const std::lock_guard guard(shard.mutex);
  if (const auto found = shard.inodes.find(number.value()); found != shard.inodes.end()) {
    Inode& inode = *found->second;
    inode.references_ -= std::min(inode.references_, count);
    if (inode.references_ == 0) retire(shard, inode);
    return;
  }
  shard.parked.drop(number.value() / kShards, count);
}

void InodeTable::drop_all_references() {
  for (Shard& shard : *shards_) {
    const std::lock_guard guard(shard.mutex);
    shard.parked.clear();
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
  if (inode.pins_ != 0 || inode.doomed_) return;
  const bool unlinked = inode.unlinked.load(std::memory_order_relaxed);
  if (inode.references_ != 0) {
    if (!unlinked) let_idle(shard, inode);
  } else if (unlinked) {
    inode.doomed_ = true;
    const std::lock_guard guard(doomed_lock_);
    doomed_.push_back(inode.number());
  } else {
    shard.erase(inode);
  }
}

void InodeTable::let_idle(Shard& shard, Inode& inode) noexcept {
  shard.add_idle(inode);
  if (shard.idle <= most_idle_per_shard_) return;
  Inode& longest = *shard.least_recent;
  const std::size_t room = shard.parked.bytes();
  shard.parked.add(longest.number().value() / kShards, longest.references_);
  if (const std::size_t now = shard.parked.bytes(); now > room) store_.charge_cache(now - room);
  shard.erase(longest);
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
  const auto found = shard.inodes.find(number.value());
  if (found != shard.inodes.end() && found->second->doomed_) shard.inodes.erase(found);
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
