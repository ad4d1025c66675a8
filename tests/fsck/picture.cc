#include "tests/fsck/picture.h"

#include <sys/stat.h>

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
    seen.what = "mode " + std::to_string(attributes.mode) + " size " + std::to_string(attributes.size);
    if (S_ISLNK(attributes.mode)) seen.what += " to " + rig_.volume().read_symlink(rig_.context(), inode).value_or("?");
    if (S_ISREG(attributes.mode) && inode != unread_) look_into(inode, attributes.size, seen);
    const Result<std::string> value = rig_.volume().get_xattr(rig_.context(), inode, "user.some");
    if (value) seen.what += " with " + *value;
    if (!S_ISDIR(attributes.mode)) return;
    seen.what = "directory";
    for (const Listed& entry : rig_.list(inode)) {
      if (entry.name == "." || entry.name == "..") continue;
      look_at(entry.inode, path + entry.name + "/");
      picture_[entry.inode].directories.insert(number);
    }
  }
  void look_into(InodeNumber inode, std::uint64_t size, Seen& seen) {
    const std::string contents = rig_.read(inode, 0, size);
    seen.what += " crc " + std::to_string(format::crc32c(std::as_bytes(std::span(contents))));
  }

  Rig& rig_;
  const InodeNumber unread_;
  Picture picture_;
};

}  // namespace

Picture picture_of(Rig& rig, InodeNumber unread) { return Viewer(rig, unread).view(); }

}  // namespace ashlar::fsck::testing
