#include "tests/fsck/picture.h"

#include <sys/stat.h>

#include <cstring>

#include "fs/format/checksum.h"

namespace ashlar::fsck::testing {
namespace {

using volume::testing::Listed;
using volume::testing::Rig;

class Viewer {
 public:
  Viewer(Rig& rig, InodeNumber unread) : rig_(rig), unread_(unread) {}

  Picture view() {
    look_at(kRootInode.value(), "/");
    return std::move(picture_);
  }

 private:
  void look_at(std::uint64_t number, const std::string& path) {
    Seen& seen = picture_[number];
    seen.paths.insert(path);
    if (!seen.what.empty()) return;
    const InodeNumber inode{number};
    const volume::Attributes attributes = rig_.stat(inode);
    seen.what = describe(attributes);
    seen.is_directory = S_ISDIR(attributes.mode);
    seen.links = attributes.links;
    if (S_ISLNK(attributes.mode)) seen.what += " to " + rig_.volume().read_symlink(rig_.context(), inode).value_or("?");
    if (S_ISREG(attributes.mode) && inode != unread_) look_into(inode, attributes.size, seen);
    look_at_xattrs(inode, seen);
    if (!S_ISDIR(attributes.mode)) return;
    for (const Listed& entry : rig_.list(inode)) {
      if (entry.name == "." || entry.name == "..") continue;
      look_at(entry.inode, path + entry.name + "/");
      picture_[entry.inode].directories.insert(number);
    }
  }
  static std::string describe(const volume::Attributes& attributes) {
    std::string what = "mode " + std::to_string(attributes.mode) + " owner " + std::to_string(attributes.uid) + ":" +
                       std::to_string(attributes.gid) + " device " + std::to_string(attributes.device) + " flags " +
                       std::to_string(attributes.flags) + " modified " + std::to_string(attributes.modified.tv_sec);
    if (S_ISDIR(attributes.mode)) return what;
    return what + " size " + std::to_string(attributes.size) + " blocks " + std::to_string(attributes.blocks);
  }
  void look_at_xattrs(InodeNumber inode, Seen& seen) {
    const std::string names = rig_.volume().list_xattrs(rig_.context(), inode).value_or("unreadable");
    std::set<std::string> sorted;  // they are listed in the order of their hashes
    for (std::size_t begin = 0; begin < names.size(); begin += std::strlen(&names[begin]) + 1)
      sorted.insert(&names[begin]);
    for (const std::string& name : sorted) {
      const Result<std::string> value = rig_.volume().get_xattr(rig_.context(), inode, name);
      seen.what += " " + name + " " + (value ? checksum(*value) : "unreadable");
    }
  }
  static std::string checksum(const std::string& bytes) {
    return std::to_string(bytes.size()) + ":" + std::to_string(format::crc32c(std::as_bytes(std::span(bytes))));
  }
  void look_into(InodeNumber inode, std::uint64_t size, Seen& seen) {
    const Result<std::string> contents = rig_.try_read(inode, 0, size);
    seen.what += " contents " + (contents ? checksum(*contents) : "unreadable");
  }

  Rig& rig_;
  const InodeNumber unread_;
  Picture picture_;
};

}  // namespace

Picture picture_of(Rig& rig, InodeNumber unread) { return Viewer(rig, unread).view(); }

}  // namespace ashlar::fsck::testing
