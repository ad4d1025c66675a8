#include "blockio/backing_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include "fs/base/log.h"

namespace ashlar::blockio {
namespace {

constexpr std::uint64_t kSysfsSector = 512;  // whatever the device's own are

std::string contents_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (text.ends_with('\n')) text.pop_back();  // the kernel's; others are part of a name
  return text;
}

// 0 when there is none.
std::uint64_t number_in(const std::string& path) {
  const std::string text = contents_of(path);
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// The file at `path` if it is the one that the kernel has; -1 and errno otherwise.
int open_if_same(const std::string& path, const loop_info64& loop, bool writing) {
  const auto is_same = [&loop](const struct stat& found) {
    return found.st_dev == loop.lo_device && found.st_ino == loop.lo_inode;
  };
  struct stat found {};
  // Before it is opened: another file of that name may be one that does something when it is.
  if (stat(path.c_str(), &found) != 0) return -1;
  if (!is_same(found)) {
    errno = ENOENT;
    return -1;
  }
  const int descriptor = ::open(path.c_str(), (writing ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (descriptor < 0) return -1;
  if (fstat(descriptor, &found) == 0 && is_same(found)) return descriptor;
  ::close(descriptor);
  errno = ENOENT;
  return -1;
}

}  // namespace

std::optional<BackingPart> backing_part_of(dev_t device) {
  const std::string own = fmt::format("/sys/dev/block/{}:{}", major(device), minor(device));
  std::error_code error;
  const bool is_partition = std::filesystem::exists(own + "/partition", error);
  const std::string loop = own + (is_partition ? "/../loop" : "/loop");
  BackingPart part;
  part.path = contents_of(loop + "/backing_file");
  if (part.path.empty()) return std::nullopt;
  part.offset = number_in(loop + "/offset");
  part.length = number_in(loop + "/sizelimit");
  if (is_partition) {
    part.offset += number_in(own + "/start") * kSysfsSector;
    part.length = number_in(own + "/size") * kSysfsSector;
  }
  return part;
}

int open_backing_file(int device, const BackingPart& part, bool writing) {
  loop_info64 loop{};
  const int descriptor = ioctl(device, LOOP_GET_STATUS64, &loop) == 0 ? open_if_same(part.path, loop, writing) : -1;
  if (descriptor < 0) {
    log(LogLevel::info, "the file behind a loop device is not locked: {}: {}", part.path, std::strerror(errno));
  }
  return descriptor;
}

}  // namespace ashlar::blockio
