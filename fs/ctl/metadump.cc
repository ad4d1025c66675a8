#include "fs/ctl/metadump.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

#include "fs/base/terminal_progress.h"
#include "fs/ctl/commands.h"
#include "fs/ctl/log_scrambler.h"
#include "fs/ctl/name_scrambler.h"
#include "fs/ctl/tree_reader.h"
#include "fs/format/checksum.h"

namespace ashlar::ctl {
namespace {

class ImageWriter {
 public:
  ImageWriter() = default;
  // Unless it was finished, the image goes: half of one would be taken for a whole.
  ~ImageWriter() {
    if (fd_ < 0) return;
    close(fd_);
    unlink(path_.c_str());
  }
  ImageWriter(const ImageWriter&) = delete;
  ImageWriter& operator=(const ImageWriter&) = delete;

  [[nodiscard]] Status create(const std::string& path, std::uint64_t size) {
    path_ = path;
    fd_ = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd_ < 0 || ftruncate(fd_, static_cast<off_t>(size)) != 0) return failed();
    return {};
  }
  [[nodiscard]] Status write(std::uint64_t offset, std::span<const std::byte> bytes) const {
    while (!bytes.empty()) {
      const ssize_t done = pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (done < 0 && errno == EINTR) continue;
      if (done <= 0) return failed();
      bytes = bytes.subspan(static_cast<std::size_t>(done));
      offset += static_cast<std::uint64_t>(done);
    }
    return {};
  }
  [[nodiscard]] Status finish() {
    const int descriptor = std::exchange(fd_, -1);
    if (close(descriptor) == 0) return {};
    Status status = failed();
    unlink(path_.c_str());
    return status;
  }

 private:
  [[nodiscard]] Status failed() const {
    const int error = errno;
    return fail(from_errno(error), fmt::format("{}: {}", path_, std::strerror(error)));
  }

  std::string path_;
  int fd_ = -1;
};

class Metadump {
 public:
  Metadump(const VolumeReader& reader, const format::Superblock& superblock, ImageWriter& image,
           TerminalProgress& progress)
      : reader_(reader),
        superblock_(superblock),
        layout_(format::Layout::of(superblock)),
        image_(image),
        progress_(progress),
        scrambler_(superblock.hash_seed) {}

  [[nodiscard]] Status run() {
    LogScrambler log(reader_, superblock_, scrambler_);
    TRY(log.announce());
    TRY(copy_tables());
    const format::NodePointer root = format::load(superblock_.root);
    superblock_.root.crc = TRY(copy_node(root, format::kLowestKey, std::nullopt));
    TRY(log.copy(
        [this](std::uint64_t offset, std::span<const std::byte> chunk) { return image_.write(offset, chunk); }));
    return write_superblocks();
  }

 private:
  // Valid group table blocks as they are, and the bitmaps that they speak of.
  [[nodiscard]] Status copy_tables() {
    std::vector<std::byte> block(layout_.block_size());
    for (std::uint32_t index = 0; index < layout_.group_table_blocks(); ++index) {
      for (std::size_t slot = 0; slot < format::kSuperblockSlots; ++slot) {
        for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
          const std::uint64_t offset = layout_.byte_offset(layout_.group_table_block(index, slot, copy));
          const Generation newest{superblock_.generation};
          if (!reader_.read(offset, block) ||
              !format::validate_group_table_block(block, superblock_.uuid, index, newest))
            continue;
          TRY(image_.write(offset, block));
          TRY(copy_bitmaps(index, block));
        }
      }
    }
    return {};
  }

  [[nodiscard]] Status copy_bitmaps(std::uint32_t index, std::span<const std::byte> table) {
    format::GroupTableHeader header;
    std::memcpy(&header, table.data(), sizeof header);
    const std::uint32_t first = index * layout_.group_table_entries_per_block();
    std::vector<std::byte> bitmap(layout_.block_size());
    for (std::uint32_t i = 0; i < header.count && first + i < layout_.group_count(); ++i) {
      format::GroupEntry entry;
      std::memcpy(&entry, table.data() + sizeof header + i * sizeof entry, sizeof entry);
      if ((entry.flags & format::kGroupInitialised) == 0) continue;
      const std::size_t slot = (entry.flags & format::kGroupSlot) != 0 ? 1 : 0;
      for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
        const std::uint64_t offset = layout_.byte_offset(layout_.bitmap_block(first + i, slot, copy));
        if (reader_.read(offset, bitmap) && format::crc32c(bitmap) == entry.bitmap_crc)
          TRY(image_.write(offset, bitmap));
      }
    }
    return {};
  }

  // Returns the node's new checksum, for the pointer to it. What is not there stays away, with its old checksum. A node
  // that was met before is not walked again, so that this ends whatever the tree looks like.
  [[nodiscard]] Result<std::uint32_t> copy_node(const format::NodePointer& pointer, const format::Key& lowest,
                                                const std::optional<format::Key>& limit) {
    const auto [known, is_new] = checksums_.try_emplace(pointer.address[0].value(), pointer.crc);
    if (!is_new) return known->second;
    // Of nodes; the rest is little beside them.
    const std::uint64_t node_bytes = std::uint64_t{layout_.node_size()} * format::kCopies;
    progress_.show(checksums_.size() * node_bytes, superblock_.node_count * node_bytes);
    std::vector<std::byte> node;
    std::vector<BlockNumber> places;
    for (const BlockNumber address : pointer.address) {
      if (address.value() > layout_.block_count() - layout_.node_blocks()) continue;
      std::vector<std::byte> copy(layout_.node_size());
      if (!reader_.read(layout_.byte_offset(address), copy)) continue;
      // fsck has findings of its own for a wrong level.
      format::NodePointer any_level = pointer;
      any_level.level = format::header_of(copy).level;
      if (!format::validate_node(copy, superblock_.uuid, &any_level)) continue;
      node = std::move(copy);
      places.push_back(address);
    }
    if (node.empty()) return pointer.crc;
    if (format::header_of(node).level == 0) {
      scrambler_.scramble(node, lowest, limit);
    } else if (format::header_of(node).level == pointer.level) {
      TRY(copy_children(node, pointer.level, lowest, limit));
    }
    format::seal_node(node);
    const std::uint32_t checksum = format::header_of(node).crc;
    checksums_[pointer.address[0].value()] = checksum;
    for (const BlockNumber place : places) TRY(image_.write(layout_.byte_offset(place), node));
    return checksum;
  }

  [[nodiscard]] Status copy_children(std::span<std::byte> node, std::uint8_t level, const format::Key& lowest,
                                     const std::optional<format::Key>& limit) {
    auto* const entries = reinterpret_cast<format::InternalEntry*>(node.data() + sizeof(format::NodeHeader));
    const std::size_t count = format::header_of(node).count;
    for (std::size_t i = 0; i < count; ++i) {
      const format::Key from = i == 0 ? lowest : format::key_of(entries[i]);
      const std::optional<format::Key> to = i + 1 < count ? std::optional(format::key_of(entries[i + 1])) : limit;
      entries[i].crc = TRY(copy_node(pointer_of(entries[i], level), from, to));
    }
    return {};
  }

  [[nodiscard]] Status write_superblocks() {
    const auto places = reader_.superblocks();
    for (std::size_t place = 0; place < places.size(); ++place) {
      format::Superblock copy = places[place];
      if (copy.generation != superblock_.generation || !format::validate(copy, reader_.device_size(), false)) continue;
      copy.root = superblock_.root;
      format::seal(copy);
      TRY(image_.write(format::superblock_offset(slot_of_place(place), copy_of_place(place)),
                       std::as_bytes(std::span(&copy, 1))));
    }
    return {};
  }

  const VolumeReader& reader_;
  format::Superblock superblock_;
  const format::Layout layout_;
  ImageWriter& image_;
  TerminalProgress& progress_;
  NameScrambler scrambler_;
  std::map<std::uint64_t, std::uint32_t> checksums_;  // of the nodes written, by their first copy's place
};

}  // namespace

Status write_metadump(const VolumeReader& reader, const std::string& path) {
  const format::Superblock superblock = TRY(reader.superblock());
  ImageWriter image;
  TRY(image.create(path, superblock.block_count * superblock.block_size));
  TerminalProgress progress("metadump");
  TRY(Metadump(reader, superblock, image, progress).run());
  return image.finish();
}

Status metadump(const MetadumpOptions& options) {
  const VolumeReader reader = TRY(VolumeReader::open(options.device));
  return write_metadump(reader, options.image);
}

}  // namespace ashlar::ctl
