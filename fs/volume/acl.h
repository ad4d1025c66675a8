// POSIX access control lists (acl(5)), kept as the attributes system.posix_acl_access and system.posix_acl_default in
// the form that setfacl(1) and the kernel exchange.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "blockio/io_queue.h"
#include "fs/base/result.h"
#include "fs/volume/volume_state.h"

namespace ashlar::volume {

inline constexpr std::string_view kAccessAcl = "system.posix_acl_access";
inline constexpr std::string_view kDefaultAcl = "system.posix_acl_default";

// One list, valid: the three classes of the mode, and a mask where users or groups are named.
class Acl {
 public:
  // invalid_argument when the bytes are not a valid list.
  [[nodiscard]] static Result<Acl> parse(std::span<const std::byte> value);
  [[nodiscard]] std::vector<std::byte> serialize() const;

  // Whether it says no more than a mode's nine bits can.
  [[nodiscard]] bool is_plain() const noexcept;
  // The nine bits that belong to it.
  [[nodiscard]] std::uint32_t permissions() const noexcept;
  // As chmod(2) has it: the classes become those of the mode.
  void set_permissions(std::uint32_t mode) noexcept;
  // As a new file gets it from a default list: classes lose what the mode lacks.
  void limit_permissions(std::uint32_t mode) noexcept;

 private:
  struct Entry {
    std::uint16_t tag = 0;
    std::uint16_t permissions = 0;
    std::uint32_t id = 0;
  };

  [[nodiscard]] bool is_valid() const noexcept;
  [[nodiscard]] const Entry* find(std::uint16_t tag) const noexcept;
  [[nodiscard]] Entry* find(std::uint16_t tag) noexcept;
  // The entries that the three digits of a mode stand for: owner, group or mask, others.
  [[nodiscard]] std::array<Entry*, 3> classes() noexcept;

  std::vector<Entry> entries_;
};

// What a new node gets from its directory's default list; the mode without the umask's bits where there is none.
struct InheritedAcls {
  std::uint32_t mode = 0;
  std::optional<Acl> access;    // unless the mode says it all
  std::optional<Acl> default_;  // of a directory
};
// The directory is locked.
[[nodiscard]] Result<InheritedAcls> inherit_acls(VolumeState& volume, blockio::IoQueue& io, const Inode& directory,
                                                 std::uint32_t mode, std::uint32_t umask);
// Puts them on an inode being made.
[[nodiscard]] Status stage_acls(VolumeState& volume, blockio::IoQueue& io, InodeNumber number, format::InodeItem& item,
                                const InheritedAcls& acls, store::Transaction& transaction);

// Brings the access list, if there is one, in line with the mode of `staged`, which chmod(2) changed. The inode is
// locked exclusively.
[[nodiscard]] Status follow_mode(VolumeState& volume, blockio::IoQueue& io, StagedInode& staged,
                                 store::Transaction& transaction);

}  // namespace ashlar::volume
