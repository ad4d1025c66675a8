// Writing file contents.
#include <algorithm>
#include <cstring>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <utility>

#include "fs/volume/extent_write.h"
#include "fs/volume/file_contents.h"
#include "fs/volume/operation.h"
#include "fs/volume/volume.h"
#include "fs/volume/xattrs.h"

namespace ashlar::volume {
namespace {

using store::CommitKind;

format::Key inline_key(InodeNumber inode) noexcept { return {inode, format::ItemKind::inline_data, 0}; }

// One transaction's worth of a write.
class FileWrite {
 public:
  FileWrite(VolumeState& volume, Context& context, Inode& inode, std::uint64_t offset, std::span<const std::byte> data,
            WriteOrigin origin)
      : volume_(volume),
        context_(context),
        io_(context.io),
        inode_(inode),
        offset_(offset),
        data_(data),
        origin_(origin) {}

  Status run(bool clear_privileges);

 private:
  // Brings the data to the device while others may use the inode, if the write is fit for that.
  Status write_data_early();
  Status write_inline(StagedInode& staged, store::Transaction& transaction, store::ItemValue& contents);
  Status write_extents(StagedInode& staged, store::Transaction& transaction);
  [[nodiscard]] std::uint64_t end() const noexcept { return offset_ + data_.size(); }

  VolumeState& volume_;
  const Context& context_;
  blockio::IoQueue& io_;
  Inode& inode_;
  const std::uint64_t offset_;
  const std::span<const std::byte> data_;
  const WriteOrigin origin_;
  std::optional<ExtentWrite> write_;
  std::optional<ExtentWindow> window_;  // as it was at window_version_ of the inode
  std::uint64_t window_version_ = 0;
};

Status FileWrite::write_data_early() {
  std::shared_lock lock(inode_.lock);
  if (is_immutable(inode_.item)) return {};
  if (may_be_inline(volume_, inode_.item) && end() <= volume_.max_inline) return {};
  window_version_ = inode_.item.version;
  window_.emplace(volume_, inode_.number());
  TRY(window_->load(io_, volume_.block_of(offset_), volume_.block_after(end())));
  if (!ExtentWrite::could_run_unlocked(volume_, inode_, *window_, offset_, data_)) return {};
  write_.emplace(volume_, io_, inode_);
  lock.unlock();
  return write_->run(*window_, offset_, data_, origin_);
}

Status FileWrite::run(bool clear_privileges) {
  TRY(write_data_early());
  const std::lock_guard lock(inode_.lock);
  if (is_immutable(inode_.item)) return fail(ErrorCode::not_permitted);
  TRY(finish_truncation(volume_, io_, inode_));
  if (volume_.block_of(offset_) > volume_.block_of(inode_.item.size)) TRY(clear_past_end(volume_, io_, inode_));
  store::ItemValue contents;
  bool fits_inline = false;
  if (may_be_inline(volume_, inode_.item)) {
    TRY(get_inline_data(volume_, io_, inode_, contents));
    fits_inline = std::max(end(), inode_.item.size.value()) <= volume_.max_inline;
    const bool overwrites_all = offset_ == 0 && end() >= contents.size();
    if (!fits_inline && !overwrites_all) {
      TRY(convert_inline(volume_, io_, inode_));
      contents.clear();
    }
  }
  StagedInode staged(inode_);
  store::Transaction transaction;
  if (!context_.brings_times) contents_changed(staged.next, context_.now);
  // Of what it held back, the kernel has taken security.capability away at the write(2); what is there now was set
  // since.
  if (origin_ == WriteOrigin::caller) TRY(drop_capabilities(volume_, io_, staged, transaction));
  if (clear_privileges) clear_suid_sgid(staged.next, context_);
  staged.next.size = std::max(end(), inode_.item.size.value());
  if (fits_inline) return write_inline(staged, transaction, contents);
  if (!contents.empty()) transaction.erase(inline_key(inode_.number()));
  return write_extents(staged, transaction);
}

Status FileWrite::write_inline(StagedInode& staged, store::Transaction& transaction, store::ItemValue& contents) {
  const bool grows = contents.size() < staged.next.size;
  contents.resize(static_cast<std::size_t>(staged.next.size));
  std::memcpy(contents.data() + offset_, data_.data(), data_.size());
  transaction.put(inline_key(inode_.number()), contents);
  return commit(volume_, io_, transaction, {&staged}, grows ? CommitKind::ordinary : CommitKind::replacing);
}

Status FileWrite::write_extents(StagedInode& staged, store::Transaction& transaction) {
  if (!window_ || window_version_ != inode_.item.version) {
    window_.emplace(volume_, inode_.number());
    TRY(window_->load(io_, volume_.block_of(offset_), volume_.block_after(end())));
  }
  const bool written = write_.has_value();
  if (!written) {
    write_.emplace(volume_, io_, inode_);
    TRY(write_->prepare(*window_, offset_, data_, origin_));
  }
  write_->edit(*window_);
  count_blocks(staged.next, *window_);
  window_->stage(transaction);
  write_->stage(transaction);
  // Data comes before its record; what is overwritten by it in place, only when the record is sure to have room.
  if (write_->overwrites()) TRY(volume_.store->claim_space(io_, transaction, write_->commit_kind()));
  if (!written) TRY(write_->write());
  return commit(volume_, io_, transaction, {&staged}, write_->commit_kind());
}

}  // namespace

bool may_be_inline(const VolumeState& volume, const format::InodeItem& item) noexcept {
  return item.blocks == 0 && item.size <= volume.max_inline;
}

Status get_inline_data(VolumeState& volume, blockio::IoQueue& io, const Inode& inode, store::ItemValue& value) {
  if (!TRY(volume.store->get(io, inline_key(inode.number()), value))) value.clear();
  if (value.size() > inode.item.size) return fail(ErrorCode::corrupt_structure, "inline data longer than the file");
  return {};
}

Status convert_inline(VolumeState& volume, blockio::IoQueue& io, Inode& inode) {
  store::ItemValue contents;
  TRY(get_inline_data(volume, io, inode, contents));
  if (contents.empty()) return {};
  StagedInode staged(inode);
  store::Transaction transaction;
  ExtentWindow window(volume, inode.number());
  TRY(window.load(io, 0, volume.block_after(contents.size())));
  ExtentWrite write(volume, io, inode);
  TRY(write.run(window, 0, contents));
  write.edit(window);
  count_blocks(staged.next, window);
  transaction.erase(inline_key(inode.number()));
  window.stage(transaction);
  write.stage(transaction);
  return commit(volume, io, transaction, {&staged});
}

void count_blocks(format::InodeItem& item, const ExtentWindow& window) noexcept {
  const std::int64_t change = window.block_change();
  const std::uint64_t before = item.blocks;
  // A damaged volume's count may be too small already.
  const std::uint64_t less = change < 0 ? std::min(before, static_cast<std::uint64_t>(-change)) : 0;
  item.blocks = change < 0 ? before - less : before + static_cast<std::uint64_t>(change);
}

namespace {

// Whether the file is append-only, and its size.
std::pair<bool, std::uint64_t> append_state(Inode& inode) {
  const std::shared_lock lock(inode.lock);
  return {is_protected(inode.item) && !is_immutable(inode.item), inode.item.size};
}

// Append-only: what is there already may come again (with write-back caching the kernel sends whole pages), but not
// differently. Needs no lock, because nothing there can change.
Status check_appends(Volume& volume, Context& context, const Inode& inode, std::uint64_t size, std::uint64_t offset,
                     std::span<const std::byte> data, std::uint32_t block_size) {
  const std::size_t old = std::min<std::uint64_t>(data.size(), size - offset);
  blockio::AlignedBuffer buffer(old + 2 * std::size_t{block_size});
  if (buffer.empty()) return fail(ErrorCode::out_of_memory);
  const std::span<const std::byte> there = TRY(volume.read(context, inode.number(), offset, old, buffer.span()));
  if (!std::equal(there.begin(), there.end(), data.begin())) return fail(ErrorCode::not_permitted);
  return {};
}

}  // namespace

Status Volume::write(Context& context, InodeNumber number, std::uint64_t offset, std::span<const std::byte> data,
                     bool clear_privileges, WriteOrigin origin) {
  TRY(check_writable(*state_));
  if (offset > kMaxFileSize || data.size() > kMaxFileSize - offset) return fail(ErrorCode::file_too_large);
  const InodeRef inode = TRY(acquire_regular(*state_, context.io, number));
  while (!data.empty()) {
    const auto part = data.first(std::min(data.size(), kMaxWriteBytes));
    if (const auto [appends, size] = append_state(*inode); appends && offset < size) {
      TRY(check_appends(*this, context, *inode, size, offset, part, state_->block_size));
    }
    TRY(with_space_retry(*state_, context.io, [&] {
      return FileWrite(*state_, context, *inode, offset, part, origin).run(clear_privileges);
    }));
    offset += part.size();
    data = data.subspan(part.size());
  }
  return {};
}

}  // namespace ashlar::volume
