#include "tests/mount/device.h"

#include <stdexcept>

#include "tests/mount/command.h"
#include "tests/mount/environment.h"

namespace ashlar::mount_test {

std::string_view name_of(DeviceKind kind) {
  switch (kind) {
    case DeviceKind::image: return "image";
    case DeviceKind::loop_512: return "loop_512";
    case DeviceKind::loop_4096: return "loop_4096";
  }
  return "unknown";
}

TestDevice::TestDevice(const std::filesystem::path& directory, DeviceKind kind, std::uint64_t bytes)
    : image_((directory / "volume.img").string()), path_(image_) {
  make_sparse_file(image_, bytes);
  if (kind == DeviceKind::image) return;
  const std::string sector = kind == DeviceKind::loop_512 ? "512" : "4096";
  CommandResult attached =
      run({"losetup", "--find", "--show", "--sector-size", sector, "--direct-io=on", "--", image_});
  if (attached.exit_status != 0) throw std::runtime_error("losetup: " + attached.errors);
  path_ = attached.output.substr(0, attached.output.find('\n'));
}

TestDevice::~TestDevice() {
  if (path_ != image_) static_cast<void>(run({"losetup", "--detach", path_}));
}

}  // namespace ashlar::mount_test
