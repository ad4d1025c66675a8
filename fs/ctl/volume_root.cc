#include "fs/ctl/volume_root.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>

#include <cerrno>

#include "fs/ctl/mount_lookup.h"

namespace ashlar::ctl {

Result<VolumeRoot> VolumeRoot::open(const std::string& mount_point, const RefusalWords& words) {
  const int descriptor = ::open(mount_point.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int error = errno;
  VolumeRoot root(mount_point, words, descriptor);
  if (descriptor < 0) return root.refused(error);
  return root;
}

int VolumeRoot::ask(unsigned long command, void* argument) const noexcept {
  return ioctl(directory_.get(), command, argument) == 0 ? 0 : errno;
}

tl::unexpected<Error> VolumeRoot::refused(int error, std::string_view so_far) const {
  switch (error) {
    case EPERM: return refused(error, so_far, words_.not_permitted);
    case ENOTTY: return refused(error, so_far, words_.not_known);
    case EROFS: return refused(error, so_far, "the volume is read-only");
    default: return refused(error, so_far, daemon_error_text(error));
  }
}

tl::unexpected<Error> VolumeRoot::refused(int error, std::string_view so_far, std::string_view why) const {
  return fail(from_errno(error), fmt::format("{}: {}{}: {}", mount_point_, words_.command, so_far, why));
}

}  // namespace ashlar::ctl
