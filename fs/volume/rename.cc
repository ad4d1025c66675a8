// Moving, replacing and exchanging names.
#include <fcntl.h>
#include <fmt/core.h>
#include <stdio.h>
#include <sys/stat.h>

#include <mutex>
#include <optional>

#include "fs/volume/file_contents.h"
#include "fs/volume/link_counts.h"
#include "fs/volume/operation.h"
#include "fs/volume/volume.h"

namespace ashlar::volume {
namespace {

using store::CommitKind;

// Directories above one another; more is a loop in a damaged volume.
constexpr std::uint64_t kMaxDepth = 1U << 20;

// Whether `candidate` is `directory` or above it. rename_lock is held: who is above whom does not change.
Result<bool> is_above(VolumeState& volume, blockio::IoQueue& io, InodeNumber candidate, InodeNumber directory) {
  store::ItemValue value;
  for (std::uint64_t depth = 0; depth < kMaxDepth; ++depth) {
    if (directory == candidate) return true;
    if (directory == kRootInode) return false;
    // From the store: the inodes' own items would take their locks.
    if (!TRY(volume.store->get(io, inode_key(directory), value))) break;
    const format::InodeItem item = TRY(format::parse_inode(value));
    if (!S_ISDIR(item.mode)) break;
    directory = InodeNumber{item.parent};
  }
  return fail(ErrorCode::corrupt_structure, fmt::format("directory {} is not below the root", directory.value()));
}

// One rename, from the look-up of its names to its transaction.
class Rename {
 public:
  Rename(VolumeState& volume, Context& context, std::string_view name, std::string_view new_name, unsigned flags)
      : volume_(volume), context_(context), name_(name), new_name_(new_name), flags_(flags) {}

  Status prepare(InodeNumber parent, InodeNumber new_parent);
  // One attempt; false when a name has come to lead elsewhere meanwhile.
  Result<bool> attempt();

 private:
  [[nodiscard]] bool exchanging() const noexcept { return (flags_ & RENAME_EXCHANGE) != 0; }
  [[nodiscard]] bool same_parent() const noexcept { return old_parent_.get() == new_parent_.get(); }

  Status look_up();
  Status check_directions();
  Result<bool> names_are_as_looked_up();
  Status check_replacement();
  Status move();
  Status exchange();
  Result<NamedInode> make_whiteout(store::Transaction& transaction);
  [[nodiscard]] NamedInode source() const { return {source_->number(), entry_type(source_->type())}; }

  VolumeState& volume_;
  Context& context_;
  const std::string_view name_;
  const std::string_view new_name_;
  const unsigned flags_;
  InodeRef old_parent_;
  InodeRef new_parent_;
  InodeRef source_;
  InodeRef target_;  // none when the new name is free
};

Status Rename::prepare(InodeNumber parent, InodeNumber new_parent) {
  old_parent_ = TRY(acquire_directory(volume_, context_.io, parent));
  new_parent_ = TRY(acquire_directory(volume_, context_.io, new_parent));
  return {};
}

Status Rename::look_up() {
  target_.reset();
  source_ = TRY(acquire_named(volume_, context_.io, *old_parent_, name_));
  Result<InodeRef> target = acquire_named(volume_, context_.io, *new_parent_, new_name_);
  if (target) {
    if ((flags_ & RENAME_NOREPLACE) != 0) return fail(ErrorCode::already_exists);
    target_ = *std::move(target);
  } else if (target.error().code() != ErrorCode::not_found || exchanging()) {
    return fail(std::move(target).error());
  }
  return {};
}

// No directory may come to lie below itself.
Status Rename::check_directions() {
  if (source_->is_directory() && TRY(is_above(volume_, context_.io, source_->number(), new_parent_->number()))) {
    return fail(ErrorCode::invalid_argument);
  }
  if (!target_ || !target_->is_directory()) return {};
  if (TRY(is_above(volume_, context_.io, target_->number(), old_parent_->number()))) {
    return fail(exchanging() ? ErrorCode::invalid_argument : ErrorCode::directory_not_empty);
  }
  return {};
}

Result<bool> Rename::names_are_as_looked_up() {
  const auto source = TRY(find_name(volume_, context_.io, old_parent_->number(), name_));
  if (!source) return fail(ErrorCode::not_found);
  const auto target = TRY(find_name(volume_, context_.io, new_parent_->number(), new_name_));
  if (source->inode != source_->number() || target.has_value() != static_cast<bool>(target_)) return false;
  return !target || target->inode == target_->number();
}

Result<bool> Rename::attempt() {
  TRY(look_up());
  std::unique_lock rename_guard(volume_.rename_lock, std::defer_lock);
  if (!same_parent() && (source_->is_directory() || (target_ && target_->is_directory()))) {
    rename_guard.lock();
    TRY(check_directions());
  }
  if (source_.get() == old_parent_.get() || source_.get() == new_parent_.get() ||
      (target_ && (target_.get() == old_parent_.get() || target_.get() == new_parent_.get()))) {
    // Legitimate only for the parent of what moves, to which no name in its own directory leads.
    return fail(ErrorCode::invalid_argument);
  }
  const InodeLocks locks({old_parent_.get(), new_parent_.get(), source_.get(), target_.get()});
  TRY(check_names_may_change(old_parent_->item, true));
  TRY(check_names_may_change(new_parent_->item, static_cast<bool>(target_)));
  if (!TRY(names_are_as_looked_up())) return false;
  if (is_protected(source_->item) || (target_ && is_protected(target_->item))) return fail(ErrorCode::not_permitted);
  if (source_.get() == target_.get()) return true;  // two names of one inode: POSIX wants nothing done
  TRY(exchanging() ? exchange() : move());
  return true;
}

Status Rename::check_replacement() {
  if (!target_) return {};
  if (!source_->is_directory()) {
    return target_->is_directory() ? Status(fail(ErrorCode::is_a_directory)) : Status();
  }
  if (!target_->is_directory()) return fail(ErrorCode::not_a_directory);
  if (!TRY(has_no_names(volume_, context_.io, target_->number()))) return fail(ErrorCode::directory_not_empty);
  return {};
}

Result<NamedInode> Rename::make_whiteout(store::Transaction& transaction) {
  const InodeNumber number = TRY(new_inode_number(volume_, context_.io, transaction));
  format::InodeItem item = new_inode_item(volume_, context_, old_parent_->item, {S_IFCHR, 0});
  item.links = 1;
  item.version = 1;
  transaction.put_item(inode_key(number), item);
  return NamedInode{number, entry_type(item.mode)};
}

Status Rename::move() {
  TRY(check_replacement());
  store::Transaction transaction;
  NameChanges names(volume_, context_.io);
  StagedInode from(*old_parent_);
  StagedInode other(*new_parent_);
  StagedInode& to = same_parent() ? from : other;
  StagedInode moved(*source_);
  std::optional<StagedInode> replaced;

  take_from_directory(from.next, source_->is_directory(), context_.now);
  if ((flags_ & RENAME_WHITEOUT) != 0) {
    const NamedInode whiteout = TRY(make_whiteout(transaction));
    TRY(names.replace(old_parent_->number(), name_, whiteout));
    TRY(add_to_directory(from.next, false, context_.now));
  } else {
    TRY(names.remove(old_parent_->number(), name_));
  }
  if (target_) {
    replaced.emplace(*target_);
    TRY(names.replace(new_parent_->number(), new_name_, source()));
    take_from_directory(to.next, target_->is_directory(), context_.now);
    drop_name(transaction, volume_, *replaced, context_.now);
  } else {
    TRY(names.add(new_parent_->number(), new_name_, source()));
  }
  TRY(add_to_directory(to.next, source_->is_directory(), context_.now));
  if (source_->is_directory()) moved.next.parent = new_parent_->number().value();
  status_changed(moved.next, context_.now);
  names.stage(transaction);
  // With a name less afterwards this is a removal; with as many, the new one may be longer.
  const bool whiteout = (flags_ & RENAME_WHITEOUT) != 0;
  const CommitKind kind = whiteout ? CommitKind::ordinary : (replaced ? CommitKind::freeing : CommitKind::filling);
  return commit(volume_, context_.io, transaction,
                {&from, same_parent() ? nullptr : &other, &moved, replaced ? &*replaced : nullptr}, kind);
}

Status Rename::exchange() {
  store::Transaction transaction;
  NameChanges names(volume_, context_.io);
  StagedInode from(*old_parent_);
  StagedInode other(*new_parent_);
  StagedInode& to = same_parent() ? from : other;
  StagedInode first(*source_);
  StagedInode second(*target_);

  TRY(names.replace(old_parent_->number(), name_, {target_->number(), entry_type(target_->type())}));
  TRY(names.replace(new_parent_->number(), new_name_, source()));
  take_from_directory(from.next, source_->is_directory(), context_.now);
  take_from_directory(to.next, target_->is_directory(), context_.now);
  TRY(add_to_directory(from.next, target_->is_directory(), context_.now));
  TRY(add_to_directory(to.next, source_->is_directory(), context_.now));
  if (source_->is_directory()) first.next.parent = new_parent_->number().value();
  if (target_->is_directory()) second.next.parent = old_parent_->number().value();
  status_changed(first.next, context_.now);
  status_changed(second.next, context_.now);
  names.stage(transaction);
  return commit(volume_, context_.io, transaction, {&from, same_parent() ? nullptr : &other, &first, &second},
                CommitKind::replacing);
}

Status check_flags(unsigned flags) {
  constexpr unsigned kKnown = RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT;
  if ((flags & ~kKnown) != 0) return fail(ErrorCode::invalid_argument);
  if ((flags & RENAME_EXCHANGE) != 0 && flags != RENAME_EXCHANGE) return fail(ErrorCode::invalid_argument);
  return {};
}

}  // namespace

Status Volume::rename(Context& context, InodeNumber parent, std::string_view name, InodeNumber new_parent,
                      std::string_view new_name, unsigned flags) {
  TRY(check_flags(flags));
  TRY(check_name(name));
  TRY(check_name(new_name));
  if (is_dot_or_dot_dot(name)) return fail(ErrorCode::busy);
  if (is_dot_or_dot_dot(new_name)) {
    return fail((flags & RENAME_NOREPLACE) != 0 ? ErrorCode::already_exists : ErrorCode::busy);
  }
  TRY(check_writable(*state_));
  Status renamed = with_space_retry(*state_, context.io, [&]() -> Status {
    Rename rename(*state_, context, name, new_name, flags);
    TRY(rename.prepare(parent, new_parent));
    int attempts = 0;
    while (!TRY(rename.attempt())) {
      if (++attempts == kMaxNameRaces) return fail(ErrorCode::try_again);
    }
    return {};
  });
  if (!renamed) return renamed;
  state_->reaper.work(context.io);
  return {};
}

}  // namespace ashlar::volume
