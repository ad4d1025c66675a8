#include "fs/volume/acl.h"

#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "fs/format/endian.h"
#include "fs/volume/xattrs.h"

namespace ashlar::volume {
namespace {

using format::le16;
using format::le32;

struct HeaderItem {
  le32 version;
};
struct EntryItem {
  le16 tag;
  le16 permissions;
  le32 id;
};
static_assert(sizeof(HeaderItem) == sizeof(posix_acl_xattr_header) &&
              sizeof(EntryItem) == sizeof(posix_acl_xattr_entry));

constexpr std::uint16_t kAllPermissions = ACL_READ | ACL_WRITE | ACL_EXECUTE;
constexpr std::uint32_t kNoId = ~0U;
constexpr std::uint32_t kUmaskBits = 0777;
constexpr std::array<unsigned, 3> kClassShifts = {6, 3, 0};

bool is_named(std::uint16_t tag) noexcept { return tag == ACL_USER || tag == ACL_GROUP; }

}  // namespace

Result<Acl> Acl::parse(std::span<const std::byte> value) {
  HeaderItem header;
  if (value.size() < sizeof header || (value.size() - sizeof header) % sizeof(EntryItem) != 0) {
    return fail(ErrorCode::invalid_argument, "access control list: odd size");
  }
  std::memcpy(&header, value.data(), sizeof header);
  if (header.version != POSIX_ACL_XATTR_VERSION) return fail(ErrorCode::not_supported);
  Acl acl;
  acl.entries_.reserve((value.size() - sizeof header) / sizeof(EntryItem));
  for (auto rest = value.subspan(sizeof header); !rest.empty(); rest = rest.subspan(sizeof(EntryItem))) {
    EntryItem item;
    std::memcpy(&item, rest.data(), sizeof item);
    acl.entries_.push_back({item.tag, item.permissions, item.id});
  }
  if (!acl.is_valid()) return fail(ErrorCode::invalid_argument, "access control list: malformed");
  return acl;
}

std::vector<std::byte> Acl::serialize() const {
  std::vector<std::byte> value(sizeof(HeaderItem) + entries_.size() * sizeof(EntryItem));
  HeaderItem header;
  header.version = POSIX_ACL_XATTR_VERSION;
  std::memcpy(value.data(), &header, sizeof header);
  std::byte* at = value.data() + sizeof header;
  for (const Entry& entry : entries_) {
    EntryItem item;
    item.tag = entry.tag;
    item.permissions = entry.permissions;
    item.id = is_named(entry.tag) ? entry.id : kNoId;
    std::memcpy(at, &item, sizeof item);
    at += sizeof item;
  }
  return value;
}

// In the order owner, users, group, groups, mask, others (which is the order of the tags), as acl_check(3) demands it.
bool Acl::is_valid() const noexcept {
  std::uint16_t last = 0;
  bool names_any = false;
  for (const Entry& entry : entries_) {
    if ((entry.permissions & ~kAllPermissions) != 0 || entry.tag < last) return false;
    if (!is_named(entry.tag) && entry.tag == last) return false;
    switch (entry.tag) {
      case ACL_USER_OBJ:
      case ACL_GROUP_OBJ:
      case ACL_MASK:
      case ACL_OTHER: break;
      case ACL_USER:
      case ACL_GROUP:
        if (entry.id == kNoId) return false;
        names_any = true;
        break;
      default: return false;
    }
    last = entry.tag;
  }
  return find(ACL_USER_OBJ) != nullptr && find(ACL_GROUP_OBJ) != nullptr && find(ACL_OTHER) != nullptr &&
         (!names_any || find(ACL_MASK) != nullptr);
}

const Acl::Entry* Acl::find(std::uint16_t tag) const noexcept {
  const auto found =
      std::find_if(entries_.begin(), entries_.end(), [tag](const Entry& entry) { return entry.tag == tag; });
  return found == entries_.end() ? nullptr : &*found;
}

Acl::Entry* Acl::find(std::uint16_t tag) noexcept { return const_cast<Entry*>(std::as_const(*this).find(tag)); }

std::array<Acl::Entry*, 3> Acl::classes() noexcept {
  Entry* const mask = find(ACL_MASK);
  return {find(ACL_USER_OBJ), mask != nullptr ? mask : find(ACL_GROUP_OBJ), find(ACL_OTHER)};
}

bool Acl::is_plain() const noexcept { return entries_.size() == kClassShifts.size(); }

std::uint32_t Acl::permissions() const noexcept {
  const Entry* const mask = find(ACL_MASK);
  const std::uint32_t group = (mask != nullptr ? mask : find(ACL_GROUP_OBJ))->permissions;
  return std::uint32_t{find(ACL_USER_OBJ)->permissions} << kClassShifts[0] | group << kClassShifts[1] |
         find(ACL_OTHER)->permissions;
}

void Acl::set_permissions(std::uint32_t mode) noexcept {
  const auto entries = classes();
  for (std::size_t i = 0; i < entries.size(); ++i) {
    entries[i]->permissions = static_cast<std::uint16_t>(mode >> kClassShifts[i] & kAllPermissions);
  }
}

void Acl::limit_permissions(std::uint32_t mode) noexcept { set_permissions(mode & permissions()); }

Result<InheritedAcls> inherit_acls(VolumeState& volume, blockio::IoQueue& io, const Inode& directory,
                                   std::uint32_t mode, std::uint32_t umask) {
  InheritedAcls result;
  result.mode = mode;
  if (S_ISLNK(mode)) return result;
  std::optional<std::string> value;
  if (directory.item.xattrs != 0) value = TRY(read_xattr(volume, io, directory.number(), kDefaultAcl));
  if (!value) {
    result.mode = mode & ~(umask & kUmaskBits);
    return result;
  }
  auto acl = Acl::parse(std::as_bytes(std::span(*value)));
  if (!acl) return fail(ErrorCode::corrupt_structure, "malformed default access control list");
  if (S_ISDIR(mode)) result.default_ = *acl;
  acl->limit_permissions(mode);
  result.mode = (mode & ~kUmaskBits) | acl->permissions();
  if (!acl->is_plain()) result.access = *std::move(acl);
  return result;
}

Status stage_acls(VolumeState& volume, blockio::IoQueue& io, InodeNumber number, format::InodeItem& item,
                  const InheritedAcls& acls, store::Transaction& transaction) {
  UnusedValueIds ids(volume, io, number);
  if (acls.access) {
    TRY(stage_xattr(volume, io, number, item, {kAccessAcl, acls.access->serialize()}, ids, transaction));
  }
  if (acls.default_) {
    TRY(stage_xattr(volume, io, number, item, {kDefaultAcl, acls.default_->serialize()}, ids, transaction));
  }
  return {};
}

Status follow_mode(VolumeState& volume, blockio::IoQueue& io, StagedInode& staged, store::Transaction& transaction) {
  if (staged.next.xattrs == 0) return {};
  const InodeNumber number = staged.inode().number();
  const auto value = TRY(read_xattr(volume, io, number, kAccessAcl));
  if (!value) return {};
  auto acl = Acl::parse(std::as_bytes(std::span(*value)));
  if (!acl) return fail(ErrorCode::corrupt_structure, "malformed access control list");
  acl->set_permissions(staged.next.mode);
  UnusedValueIds ids(volume, io, number);
  return stage_xattr(volume, io, number, staged.next, {kAccessAcl, acl->serialize()}, ids, transaction);
}

}  // namespace ashlar::volume
