#include "fsck/superblock_search.h"

#include <algorithm>
#include <cstring>
#include <ctime>
#include <functional>
#include <iterator>
#include <limits>
#include <map>
#include <random>

#include "fs/format/log.h"
#include "fsck/block_scan.h"
#include "fsck/context.h"
#include "fsck/geometry_search.h"
#include "fsck/log_search.h"
#include "fsck/table_place.h"
#include "fsck/tree_walk.h"

namespace ashlar::fsck {
namespace {

// Generations whose root is looked for: of older ones too much has been written over.
constexpr std::size_t kMostGenerations = 16;

// All but the size of nodes, which the nodes tell, and what the scan finds.
Result<format::Superblock> identify(blockio::BlockDevice& device, blockio::IoQueue& io, const CheckOptions& options) {
  format::Superblock superblock = TRY(search_geometry(device, io, options));
  superblock.magic = format::kSuperblockMagic;
  superblock.version = format::kFormatVersion;
  superblock.next_inode = kRootInode.value() + 1;
  superblock.created_time = superblock.written_time = static_cast<std::uint64_t>(std::time(nullptr));
  std::random_device random;
  std::generate(std::begin(superblock.hash_seed), std::end(superblock.hash_seed),
                [&random] { return static_cast<std::uint8_t>(random()); });
  return superblock;
}

// The topmost node of each generation: every checkpoint writes a root.
class RootSearch {
 public:
  RootSearch(blockio::BlockDevice& device, blockio::IoQueue& io, const CheckOptions& options,
             format::Superblock& superblock, bool node_size_known)
      : device_(device), io_(io), options_(options), superblock_(superblock), node_size_known_(node_size_known) {}

  // Fills in the superblock's root, node size and generation. Whether the root's tree is whole.
  [[nodiscard]] Result<bool> run() {
    TRY(scan());
    if (newest_generation_ == 0) return fail(ErrorCode::corrupt_structure, "no node of the volume's tree is left");
    superblock_.generation = std::max<std::uint64_t>(superblock_.generation, newest_generation_);
    if (roots_.empty()) return false;
    return choose();
  }
  // Only roots of later generations count.
  void look_after(std::uint64_t generation) { after_ = generation; }

 private:
  [[nodiscard]] Status scan() {
    BlockScan blocks(io_, superblock_.block_size, format::kMaxNodeSize);
    if (!blocks.has_memory()) return fail(ErrorCode::out_of_memory);
    const std::uint64_t count = superblock_.block_count;
    return blocks.run({BlockNumber{0}, count}, [&](BlockNumber place, std::span<const std::byte> bytes) -> Status {
      if (options_.progress && place.value() % 1024 == 0 &&
          !options_.progress(Pass::repair, static_cast<double>(place.value()) / static_cast<double>(count))) {
        return fail(ErrorCode::cancelled, "cancelled");
      }
      look_at(place, bytes);
      return {};
    });
  }

  void look_at(BlockNumber place, std::span<const std::byte> bytes) {
    format::NodeHeader header;
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.magic != format::kNodeMagic || std::memcmp(header.uuid, superblock_.uuid, sizeof header.uuid) != 0)
      return;
    if (std::none_of(std::begin(header.address), std::end(header.address),
                     [place](const format::le64& address) { return address == place.value(); })) {
      return;
    }
    if (!is_valid(bytes)) return;
    const std::uint64_t generation = header.generation;
    newest_generation_ = std::max(newest_generation_, generation);
    if (generation <= after_) return;
    const auto [root, is_first] = roots_.try_emplace(generation);
    if (!is_first && root->second.level >= header.level) return;
    for (std::size_t copy = 0; copy < format::kCopies; ++copy)
      root->second.address[copy] = BlockNumber{header.address[copy]};
    root->second.generation = Generation{generation};
    root->second.crc = header.crc;
    root->second.level = header.level;
    if (roots_.size() > kMostGenerations) roots_.erase(std::prev(roots_.end()));
  }

  [[nodiscard]] bool is_valid(std::span<const std::byte> bytes) {
    const auto fits = [&](std::uint32_t size) {
      return size <= bytes.size() && format::validate_node(bytes.first(size), superblock_.uuid, nullptr).has_value();
    };
    if (node_size_known_) return fits(superblock_.node_size);
    for (std::uint32_t size = std::max(format::kMinNodeSize, superblock_.block_size.value());
         size <= format::kMaxNodeSize; size *= 2) {
      if (!fits(size)) continue;
      superblock_.node_size = size;
      node_size_known_ = true;
      return true;
    }
    return false;
  }

  // The newest whole tree. Not one of fewer levels than there are nodes for: of a checkpoint that a power cut ended
  // there may be nodes without their root, which look whole, and so may what mkfs wrote. Without one, the newest part.
  [[nodiscard]] Result<bool> choose() {
    const auto by_level = [](const auto& a, const auto& b) { return a.second.level < b.second.level; };
    const std::uint8_t level = std::max_element(roots_.begin(), roots_.end(), by_level)->second.level;
    for (const auto& [generation, root] : roots_) {
      if (root.level != level) continue;
      superblock_.root = format::store(root);
      if (TRY(is_whole())) return true;
    }
    superblock_.root = format::store(roots_.begin()->second);
    return false;
  }

  [[nodiscard]] Result<bool> is_whole() {
    superblock_.node_count = 1;
    CheckContext context(device_, io_, CheckOptions{}, superblock_);
    bool has_root_directory = false;
    TreeWalk walk(context, [&](const format::Key& key, std::span<const std::byte>) {
      if (key.inode == kRootInode && key.kind == format::ItemKind::inode) has_root_directory = true;
      return Status{};
    });
    TRY(walk.run());
    return has_root_directory && context.lost.empty() && !context.report.is_fatal();
  }

  blockio::BlockDevice& device_;
  blockio::IoQueue& io_;
  const CheckOptions& options_;
  format::Superblock& superblock_;
  bool node_size_known_;
  std::uint64_t after_ = 0;
  std::uint64_t newest_generation_ = 0;
  std::map<std::uint64_t, format::NodePointer, std::greater<>> roots_;  // newest first
};

}  // namespace

Result<format::Superblock> search_superblock(blockio::BlockDevice& device, blockio::IoQueue& io,
                                             const CheckOptions& options,
                                             const std::optional<format::Superblock>& known) {
  format::Superblock superblock = known ? *known : TRY(identify(device, io, options));
  RootSearch roots(device, io, options, superblock, known.has_value());
  if (known) roots.look_after(known->generation);
  const bool whole = TRY(roots.run());
  if (known && !whole) return fail(ErrorCode::not_found);
  const LogPlace log = TRY(search_log(io, superblock));
  superblock.log_epoch = log.epoch;
  superblock.log_start = log.start.value();
  superblock.log_start_chain = log.chain;
  superblock.flags = format::kHasErrors;
  TRY(place_lost_table(device, io, superblock));
  format::seal(superblock);
  TRY(format::validate(superblock, device.geometry().size, true));
  return superblock;
}

}  // namespace ashlar::fsck
