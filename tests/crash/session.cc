#include "tests/crash/session.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <stdio.h>

#include <algorithm>
#include <memory>

#include "blockio/aligned_buffer.h"
#include "mkfs/format_volume.h"
#include "tests/volume/pattern.h"

namespace ashlar::crash_test {

std::size_t History::promised(std::size_t events) const {
  std::size_t least = 0;
  for (const Promise& promise : promises) {
    if (promise.events <= events) least = std::max(least, promise.moment);
  }
  return least;
}

std::size_t History::begun(std::size_t events) const {
  std::size_t last = 0;
  while (last + 1 < moments.size() && moments[last].events <= events) ++last;
  return last;
}

blockio::MemoryImage formatted(const Geometry& geometry) {
  blockio::MemoryDevice device(geometry.bytes);
  const auto io = device.open_queue({});
  mkfs::FormatOptions options;
  options.block_size = geometry.block_size;
  options.node_size = geometry.node_size;
  // The same volume every time, so that a seed reproduces a state.
  options.uuid = mkfs::Uuid{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  auto plan = mkfs::plan_volume(device.geometry(), options);
  EXPECT_TRUE(plan) << plan.error().message();
  std::fill(std::begin(plan->superblock.hash_seed), std::end(plan->superblock.hash_seed), std::uint8_t{7});
  plan->superblock.log_epoch = 1000;
  const Status done = mkfs::write_volume(**io, *plan, false);
  EXPECT_TRUE(done) << done.error().message();
  return device.snapshot();
}

volume::VolumeOptions quiet_options() {
  volume::VolumeOptions options;
  options.store.background = false;
  return options;
}

Session::Session(blockio::BlockDevice& device, Options options)
    : device_(device),
      options_(std::move(options)),
      io_(*device.open_queue(options_.volume.store.queue)),
      context_{*io_, {1'000'000, 0}, 0, 0},
      random_(options_.seed),
      root_(std::make_shared<ModelNode>(ModelNode{S_IFDIR | 0755, {}, {}, {}, {}, 2})) {
  numbers_[root_.get()] = kRootInode;
}

bool Session::open() {
  auto opened = volume::Volume::open(device_, *io_, options_.volume);
  if (!ended("mount", opened)) return false;
  volume_ = *std::move(opened);
  if (history_.moments.empty()) {
    static_cast<void>(done("nothing", {}));
    history_.moments[0].events = 0;
  }
  return true;
}

bool Session::close() {
  if (!ended("unmount", volume_->close(*io_))) return false;
  volume_.reset();
  promise(history_.moments.size() - 1);
  return true;
}

ModelNodePtr Session::node(const std::string& path) const {
  ModelNodePtr at = root_;
  for (std::size_t begin = 0; begin < path.size() && at;) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const auto found = at->names.find(path.substr(begin, end - begin));
    at = found == at->names.end() ? nullptr : found->second;
    begin = end + 1;
  }
  return at;
}

Session::Place Session::place(const std::string& path) const {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {root_, path};
  Place place{node(path.substr(0, slash)), path.substr(slash + 1)};
  if (place.directory && !place.directory->is_directory()) place.directory = nullptr;
  return place;
}

void Session::tick() {
  context_.now.tv_nsec += 1'000'000;
  context_.now.tv_sec += context_.now.tv_nsec / 1'000'000'000;
  context_.now.tv_nsec %= 1'000'000'000;
}

bool Session::failed(const std::string& operation, const Error& error) {
  failures_.emplace_back(operation + ": " + error.message(), error.code());
  return false;
}

bool Session::done(const std::string& operation, std::initializer_list<ModelNodePtr> changed) {
  if (!options_.keep_history && !history_.moments.empty()) return true;
  history_.from_model = !options_.look;
  Moment moment;
  moment.events = options_.events ? options_.events() : 0;
  moment.operation = operation;
  const std::string expected = plain(*root_);
  if (options_.look) {
    moment.view = viewer_.look_at(*volume_, context_);
    const std::string shown = plain(moment.view);
    if (shown != expected && contradiction_.empty()) contradiction_ = operation + ":\n" + difference(expected, shown);
  } else {
    moment.view = expected;
  }
  moment.digest = digest(moment.view);
  history_.moments.push_back(std::move(moment));
  for (const ModelNodePtr& node : changed) changed_at_[node.get()] = history_.moments.size() - 1;
  return true;
}

void Session::promise(std::size_t moment) {
  history_.promises.push_back({options_.events ? options_.events() : 0, moment});
}

ModelNodePtr Session::adopt(InodeNumber inode, std::uint32_t mode) {
  auto node = std::make_shared<ModelNode>();
  node->mode = mode;
  kept_.push_back(node);
  numbers_[node.get()] = inode;
  return node;
}

bool Session::create(const std::string& path, std::uint32_t mode) {
  const Place at = place(path);
  if (!at.directory || at.directory->names.contains(at.name)) return false;
  tick();
  const auto made = volume_->make_node(context_, number(at.directory), at.name, {mode, 0});
  if (!ended("create " + path, made)) return false;
  volume_->forget(*io_, made->inode, 1);
  const ModelNodePtr node = adopt(made->inode, mode);
  node->links = 1;
  at.directory->names[at.name] = node;
  return done("create " + path, {node, at.directory});
}

bool Session::symlink(const std::string& target, const std::string& path) {
  const Place at = place(path);
  if (!at.directory || at.directory->names.contains(at.name)) return false;
  tick();
  const auto made = volume_->make_symlink(context_, number(at.directory), at.name, target);
  if (!ended("symlink " + path, made)) return false;
  volume_->forget(*io_, made->inode, 1);
  const ModelNodePtr node = adopt(made->inode, S_IFLNK | 0777);
  node->target = target;
  node->links = 1;
  at.directory->names[at.name] = node;
  return done("symlink " + path, {node, at.directory});
}

bool Session::link(const ModelNodePtr& file, const std::string& path) {
  const Place at = place(path);
  if (!file || file->is_directory() || !at.directory || at.directory->names.contains(at.name)) return false;
  tick();
  const auto linked = volume_->link(context_, number(file), number(at.directory), at.name);
  if (!ended("link " + path, linked)) return false;
  volume_->forget(*io_, linked->inode, 1);
  at.directory->names[at.name] = file;
  ++file->links;
  return done("link " + path, {file, at.directory});
}

bool Session::remove(const std::string& path, bool directory) {
  const Place at = place(path);
  const ModelNodePtr gone = node(path);
  if (!gone || !at.directory || gone->is_directory() != directory || !gone->names.empty()) return false;
  tick();
  const InodeNumber parent = number(at.directory);
  const Status removed =
      directory ? volume_->remove_directory(context_, parent, at.name) : volume_->unlink(context_, parent, at.name);
  if (!ended("remove " + path, removed)) return false;
  at.directory->names.erase(at.name);
  --gone->links;
  // Nobody compares it any more, and a long run makes many.
  if (!options_.keep_history && gone->links == 0) gone->contents = std::string();
  return done("remove " + path, {gone, at.directory});
}

bool Session::rename(const std::string& from, const std::string& to, unsigned flags) {
  const Place source = place(from);
  const Place target = place(to);
  const ModelNodePtr moved = node(from);
  const ModelNodePtr other = node(to);
  const bool exchange = (flags & RENAME_EXCHANGE) != 0;
  if (!moved || !target.directory || moved == other || (exchange && !other)) return false;
  if (moved->is_directory() && holds(*moved, *target.directory)) return false;
  if (other && other->is_directory() && holds(*other, *source.directory)) return false;
  if (other && !exchange && (moved->is_directory() != other->is_directory() || !other->names.empty())) return false;
  tick();
  const std::string operation = fmt::format("rename{} {} {}", exchange ? " exchange" : "", from, to);
  const Status renamed =
      volume_->rename(context_, number(source.directory), source.name, number(target.directory), target.name, flags);
  if (!ended(operation, renamed)) return false;
  if (exchange) {
    std::swap(source.directory->names[source.name], target.directory->names[target.name]);
  } else {
    if (other) --other->links;
    source.directory->names.erase(source.name);
    target.directory->names[target.name] = moved;
  }
  done(operation, {moved, source.directory, target.directory});
  if (other) changed_at_[other.get()] = history_.moments.size() - 1;
  return true;
}

bool Session::write(const ModelNodePtr& file, std::uint64_t offset, std::size_t length, Origin origin) {
  if (!file || !S_ISREG(file->mode)) return false;
  tick();
  const std::string data = volume::testing::pattern(length, static_cast<unsigned>(random_()));
  if (!origin) {
    const bool cached = options_.from_page_cache && below(2) == 0;
    origin = cached ? volume::WriteOrigin::page_cache : volume::WriteOrigin::caller;
  }
  const Status written = volume_->write(context_, number(file), offset, std::as_bytes(std::span(data)), false, *origin);
  const std::string operation = fmt::format("write inode {} {}+{}", number(file).value(), offset, length);
  if (!ended(operation, written)) return false;
  file->write(offset, data);
  return done(operation, {file});
}

bool Session::append(const std::string& path, std::size_t length) {
  const ModelNodePtr file = node(path);
  return file && write(file, file->contents.size(), length);
}

bool Session::truncate(const ModelNodePtr& file, std::uint64_t size) {
  if (!file || !S_ISREG(file->mode)) return false;
  tick();
  volume::AttributeChange change;
  change.fields = volume::AttributeChange::size_field;
  change.size = size;
  const std::string operation =
      fmt::format("{} inode {} {}", size < file->contents.size() ? "shrink" : "extend", number(file).value(), size);
  if (!ended(operation, volume_->set_attributes(context_, number(file), change))) return false;
  file->contents.resize(size);
  return done(operation, {file});
}

bool Session::allocate(const std::string& path, int mode, std::uint64_t offset, std::uint64_t length) {
  const ModelNodePtr file = node(path);
  if (!file || !S_ISREG(file->mode)) return false;
  tick();
  const char* const what = (mode & FALLOC_FL_PUNCH_HOLE) != 0 ? "punch" : "fallocate";
  const std::string operation = fmt::format("{} {} mode {} {}+{}", what, path, mode, offset, length);
  if (!ended(operation, volume_->allocate(context_, number(file), mode, offset, length))) return false;
  file->allocate(offset, length, (mode & FALLOC_FL_KEEP_SIZE) != 0, (mode & ~FALLOC_FL_KEEP_SIZE) != 0);
  return done(operation, {file});
}

bool Session::defragment(const std::string& path) {
  const ModelNodePtr file = node(path);
  if (!file || !S_ISREG(file->mode)) return false;
  tick();
  const std::string operation = fmt::format("defragment {}", path);
  blockio::AlignedBuffer buffer(volume::kMaxWriteBytes);
  volume::DefragmentRequest request;
  request.inode = number(file);
  for (bool ended_all = false; !ended_all;) {
    const auto step = volume_->defragment(context_, request, buffer.span());
    if (!ended(operation, step)) return false;
    request.position = step->next;
    ended_all = step->done;
  }
  return done(operation, {file});
}

void Session::fill(std::uint64_t left) {
  create("filler");
  const std::uint64_t block = volume_->space().block_size;
  std::uint64_t offset = 0;
  std::uint64_t most = 256;
  while (most != 0) {
    const std::uint64_t available = volume_->space().available;
    if (available <= left) return;
    const std::uint64_t blocks = std::min(most, available - left);
    if (allocate("filler", FALLOC_FL_KEEP_SIZE, offset, blocks * block)) {
      offset += blocks * block;
    } else {
      most = blocks / 2;
    }
  }
}

bool Session::set_xattr(const std::string& path, const std::string& name, std::size_t length) {
  const ModelNodePtr file = node(path);
  if (!file) return false;
  tick();
  const std::string value = volume::testing::pattern(length, static_cast<unsigned>(random_()));
  const std::string operation = fmt::format("setxattr {} {} of {}", path, name, length);
  const Status set = volume_->set_xattr(context_, number(file), name, std::as_bytes(std::span(value)), 0);
  if (!ended(operation, set)) return false;
  file->xattrs[name] = value;
  return done(operation, {file});
}

bool Session::remove_xattr(const std::string& path, const std::string& name) {
  const ModelNodePtr file = node(path);
  if (!file || !file->xattrs.contains(name)) return false;
  tick();
  const std::string operation = fmt::format("removexattr {} {}", path, name);
  if (!ended(operation, volume_->remove_xattr(context_, number(file), name))) return false;
  file->xattrs.erase(name);
  return done(operation, {file});
}

bool Session::chmod(const std::string& path, std::uint32_t permissions) {
  const ModelNodePtr file = node(path);
  if (!file) return false;
  tick();
  volume::AttributeChange change;
  change.fields = volume::AttributeChange::mode_field;
  change.mode = (file->mode & S_IFMT) | permissions;
  if (!ended("chmod " + path, volume_->set_attributes(context_, number(file), change))) return false;
  file->mode = change.mode;
  return done("chmod " + path, {file});
}

bool Session::set_flags(const std::string& path, std::uint32_t flags) {
  const ModelNodePtr file = node(path);
  if (!file) return false;
  tick();
  if (!ended("chattr " + path, volume_->set_inode_flags(context_, number(file), flags))) return false;
  return done("chattr " + path, {file});
}

ModelNodePtr Session::hold(const std::string& path) {
  const Place at = place(path);
  const ModelNodePtr file = node(path);
  if (!file || !ended("open " + path, volume_->lookup(context_, number(at.directory), at.name))) return nullptr;
  return file;
}

ModelNodePtr Session::make_unnamed(const std::string& directory) {
  const ModelNodePtr at = node(directory);
  if (!at || !at->is_directory()) return nullptr;
  tick();
  const auto made = volume_->make_unnamed(context_, number(at), {S_IFREG | 0600, 0});
  if (!ended("tmpfile", made)) return nullptr;
  ModelNodePtr file = adopt(made->inode, S_IFREG | 0600);
  done("tmpfile", {file});
  return file;
}

void Session::release(const ModelNodePtr& file) {
  if (file) volume_->forget(*io_, number(file), 1);
}

bool Session::sync(const ModelNodePtr& file, bool data_only) {
  if (!file) return false;
  if (!ended("fsync", volume_->sync_inode(context_, number(file), data_only))) return false;
  promise(changed_at_[file.get()]);
  return true;
}

bool Session::sync_all() {
  if (!ended("sync", volume_->sync_all(context_))) return false;
  promise(history_.moments.size() - 1);
  return true;
}

bool Session::commit() {
  if (!ended("commit", volume_->store().sync(*io_))) return false;
  promise(history_.moments.size() - 1);
  return true;
}

bool Session::checkpoint() {
  if (!ended("checkpoint", volume_->store().checkpoint(*io_))) return false;
  promise(history_.moments.size() - 1);
  return true;
}

bool Session::grow(std::uint64_t bytes) {
  tick();
  if (!ended("grow", volume_->store().grow(*io_, bytes, false))) return false;
  promise(history_.moments.size() - 1);
  return done(fmt::format("grow to {}", bytes), {});
}

}  // namespace ashlar::crash_test
