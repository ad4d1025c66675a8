// A volume and its model side by side: every operation is done on both, and what a crash may then show is kept.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "blockio/memory_device.h"
#include "fs/volume/volume.h"
#include "tests/crash/view.h"
#include "tests/volume/model_node.h"

namespace ashlar::crash_test {

using volume::testing::ModelNode;
using volume::testing::ModelNodePtr;

// The state after an operation.
struct Moment {
  std::size_t events = 0;  // of the device when it had returned
  std::string operation;
  std::string view;  // Viewer's text, or of the model alone
  std::uint64_t digest = 0;
};

// All states that a crash may show, in order.
struct History {
  struct Promise {
    std::size_t events = 0;  // of the device when a sync was acknowledged
    std::size_t moment = 0;  // that it covers
  };
  std::vector<Moment> moments;  // the first: before any operation
  bool from_model = false;      // their views are the model's, without times and numbers
  std::vector<Promise> promises;

  // After a power cut when `events` events had happened: the earliest moment that may show, and the last.
  [[nodiscard]] std::size_t promised(std::size_t events) const;
  [[nodiscard]] std::size_t begun(std::size_t events) const;
};

struct Geometry {
  std::uint64_t bytes = 16ULL << 20;
  std::uint32_t block_size = 4096;
  std::uint32_t node_size = 4096;
};
[[nodiscard]] blockio::MemoryImage formatted(const Geometry& geometry);

// No threads of its own: one seed is one sequence of device operations.
[[nodiscard]] volume::VolumeOptions quiet_options();

// Owned by one thread. Operations that the model says cannot succeed are left out; one that fails on the volume leaves
// the model alone. Each returns whether it took effect.
class Session {
 public:
  struct Options {
    std::function<std::size_t()> events;  // of the device so far; none: 0
    bool keep_history = true;             // else nothing but the model is kept
    // The volume is looked at after each operation and compared with the model. What is looked at does not stay in
    // memory.
    bool look = true;
    bool from_page_cache = true;  // every other write comes as the kernel's write-back brings it
    std::uint64_t seed = 1;
    volume::VolumeOptions volume = quiet_options();
  };
  Session(blockio::BlockDevice& device, Options options);

  bool open();
  bool close();
  bool remount() { return close() && open(); }
  void crash() { volume_.reset(); }  // the process dies

  bool create(const std::string& path, std::uint32_t mode = S_IFREG | 0644);
  bool mkdir(const std::string& path) { return create(path, S_IFDIR | 0755); }
  bool symlink(const std::string& target, const std::string& path);
  bool link(const std::string& existing, const std::string& path) { return link(node(existing), path); }
  bool link(const ModelNodePtr& file, const std::string& path);
  bool unlink(const std::string& path) { return remove(path, false); }
  bool rmdir(const std::string& path) { return remove(path, true); }
  bool rename(const std::string& from, const std::string& to, unsigned flags = 0);

  // Without an origin, it is chosen at random.
  using Origin = std::optional<volume::WriteOrigin>;
  bool write(const std::string& path, std::uint64_t offset, std::size_t length, Origin origin = {}) {
    return write(node(path), offset, length, origin);
  }
  bool write(const ModelNodePtr& file, std::uint64_t offset, std::size_t length, Origin origin = {});
  bool append(const std::string& path, std::size_t length);
  bool truncate(const std::string& path, std::uint64_t size) { return truncate(node(path), size); }
  bool truncate(const ModelNodePtr& file, std::uint64_t size);
  bool allocate(const std::string& path, int mode, std::uint64_t offset, std::uint64_t length);
  bool set_xattr(const std::string& path, const std::string& name, std::size_t length);
  bool remove_xattr(const std::string& path, const std::string& name);
  bool chmod(const std::string& path, std::uint32_t permissions);
  bool set_flags(const std::string& path, std::uint32_t flags);  // FS_*_FL

  // Puts the file's pieces together, which nothing shows.
  bool defragment(const std::string& path);

  // Preallocates blocks of a file "filler" until at most `left` are available, or none can be had.
  void fill(std::uint64_t left);

  // Held open: it outlives its names until closed. make_unnamed(): O_TMPFILE.
  ModelNodePtr hold(const std::string& path);
  ModelNodePtr make_unnamed(const std::string& directory);
  void release(const ModelNodePtr& file);

  // Acknowledged durability.
  bool sync(const std::string& path) { return sync(node(path)); }
  bool sync(const ModelNodePtr& file, bool data_only = false);
  bool sync_all();
  bool commit();  // what commit= does now and then
  bool checkpoint();

  // The volume becomes larger, durably; nothing else shows. The device does, too.
  bool grow(std::uint64_t bytes);

  [[nodiscard]] ModelNodePtr node(const std::string& path) const;  // null: none
  [[nodiscard]] const ModelNode& root() const { return *root_; }
  [[nodiscard]] volume::Volume& volume() { return *volume_; }
  [[nodiscard]] volume::Context& context() { return context_; }
  [[nodiscard]] std::mt19937_64& random() { return random_; }
  [[nodiscard]] std::uint64_t below(std::uint64_t limit) { return random_() % limit; }

  [[nodiscard]] const History& history() const { return history_; }
  // Where the volume and the model part; empty when they do not.
  [[nodiscard]] const std::string& contradiction() const { return contradiction_; }
  // Of operations that failed, in order.
  [[nodiscard]] const std::vector<std::pair<std::string, ErrorCode>>& failures() const { return failures_; }

 private:
  struct Place {
    ModelNodePtr directory;  // null: there is none
    std::string name;
  };
  [[nodiscard]] Place place(const std::string& path) const;
  // The model of an inode that was just made, with no name yet.
  ModelNodePtr adopt(InodeNumber inode, std::uint32_t mode);
  [[nodiscard]] InodeNumber number(const ModelNodePtr& node) const { return numbers_.at(node.get()); }
  bool remove(const std::string& path, bool directory);
  void tick();
  // What follows an operation on the volume: failed, or done, with the nodes that it changed.
  bool failed(const std::string& operation, const Error& error);
  bool done(const std::string& operation, std::initializer_list<ModelNodePtr> changed);
  void promise(std::size_t moment);
  template <typename Outcome>
  bool ended(const std::string& operation, const Outcome& outcome) {
    return outcome ? true : failed(operation, outcome.error());
  }

  blockio::BlockDevice& device_;
  Options options_;
  std::unique_ptr<blockio::IoQueue> io_;
  volume::Context context_;
  std::mt19937_64 random_;
  Viewer viewer_;
  std::unique_ptr<volume::Volume> volume_;
  ModelNodePtr root_;
  std::map<const ModelNode*, InodeNumber> numbers_;
  std::map<const ModelNode*, std::size_t> changed_at_;  // the moment after a node's last change
  std::vector<ModelNodePtr> kept_;                      // every node ever made, so that their addresses stay theirs
  History history_;
  std::string contradiction_;
  std::vector<std::pair<std::string, ErrorCode>> failures_;
};

}  // namespace ashlar::crash_test
