#include "mkfs/existing_contents.h"

#include <blkid/blkid.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "fs/base/file_descriptor.h"
#include "fs/format/superblock.h"
#include "fs/format/text.h"

namespace ashlar::mkfs {
namespace {

// A device holds a handful; more means that wiping does not stick.
constexpr int kMaxSignatures = 64;

struct FreeProbe {
  void operator()(blkid_struct_probe* probe) const noexcept { blkid_free_probe(probe); }
};
using Probe = std::unique_ptr<blkid_struct_probe, FreeProbe>;

Result<Probe> probe_of(int fd) {
  Probe probe(blkid_new_probe());
  if (!probe || blkid_probe_set_device(probe.get(), fd, 0, 0) != 0) {
    return fail(ErrorCode::io_error, "looking for other filesystems' signatures failed");
  }
  blkid_probe_enable_superblocks(probe.get(), 1);
  blkid_probe_set_superblocks_flags(probe.get(), BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE | BLKID_SUBLKS_LABEL |
                                                     BLKID_SUBLKS_MAGIC | BLKID_SUBLKS_BADCSUM);
  blkid_probe_enable_partitions(probe.get(), 1);
  blkid_probe_set_partitions_flags(probe.get(), BLKID_PARTS_MAGIC | BLKID_PARTS_FORCE_GPT);
  return probe;
}

std::string value_of(const Probe& probe, const char* name) {
  const char* data = nullptr;
  if (blkid_probe_lookup_value(probe.get(), name, &data, nullptr) != 0 || data == nullptr) return {};
  return format::printable(data);
}

std::string with_article(const std::string& noun) {
  const bool vowel = !noun.empty() && std::strchr("aeioAEIO", noun.front()) != nullptr;
  return fmt::format("{} {}", vowel ? "an" : "a", noun);
}

std::string describe_finding(const Probe& probe) {
  if (const std::string table = value_of(probe, "PTTYPE"); !table.empty()) {
    return with_article(table + " partition table");
  }
  const std::string usage = value_of(probe, "USAGE");
  std::string text = with_article(value_of(probe, "TYPE"));
  if (usage == "filesystem") text += " filesystem";
  if (usage == "raid") text += " member";
  if (const std::string label = value_of(probe, "LABEL"); !label.empty()) text += fmt::format(" labelled '{}'", label);
  return text;
}

// A superblock of ours, damaged or not: whoever has one may want it back.
std::optional<std::string> describe_volume(int fd) {
  for (std::size_t copy = 0; copy < format::kCopies; ++copy) {
    for (std::size_t slot = 0; slot < format::kSuperblockSlots; ++slot) {
      format::Superblock superblock{};
      const ssize_t got =
          pread(fd, &superblock, sizeof superblock, static_cast<off_t>(format::superblock_offset(slot, copy)));
      if (got != static_cast<ssize_t>(sizeof superblock) || superblock.magic != format::kSuperblockMagic) continue;
      const std::string label = format::label_text(superblock);
      return label.empty() ? "an AshlarFS volume" : fmt::format("an AshlarFS volume labelled '{}'", label);
    }
  }
  return std::nullopt;
}

}  // namespace

Result<std::optional<std::string>> describe_contents(const std::string& path) {
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return fail(from_errno(errno), std::strerror(errno));
  if (auto volume = describe_volume(file.get())) return volume;
  const Probe probe = TRY(probe_of(file.get()));
  const int found = blkid_do_probe(probe.get());
  if (found < 0) return fail(ErrorCode::io_error, "looking for other filesystems' signatures failed");
  if (found > 0) return std::optional<std::string>();
  return std::optional<std::string>(describe_finding(probe));
}

Status wipe_signatures(const std::string& path) {
  const FileDescriptor file(open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (file.get() < 0) return fail(from_errno(errno), std::strerror(errno));
  const Probe probe = TRY(probe_of(file.get()));
  for (int wiped = 0; wiped < kMaxSignatures; ++wiped) {
    const int found = blkid_do_probe(probe.get());
    if (found > 0) {
      if (fsync(file.get()) != 0) return fail(from_errno(errno), std::strerror(errno));
      return {};
    }
    if (found < 0 || blkid_do_wipe(probe.get(), 0) != 0) break;
  }
  return fail(ErrorCode::io_error, "erasing old signatures failed");
}

}  // namespace ashlar::mkfs
