#include "tests/posix/filesystem.h"

#include <stdexcept>
#include <string>

#include "tests/mount/mounted_volume.h"

namespace ashlar::posix_test {
namespace {

using mount_test::CommandResult;
using mount_test::run;

constexpr std::uint64_t kBytes = 512ULL << 20;

void demand(const CommandResult& result) {
  if (result.exit_status != 0) throw std::runtime_error(result.command + ": " + result.output + result.errors);
}

class Ashlarfs : public Filesystem {
 public:
  Ashlarfs(mount_test::DeviceKind device, mount_test::Engine engine) : volume_(device, kBytes), engine_(engine) {
    demand(volume_.format());
    demand(volume_.mount(engine_));
  }
  [[nodiscard]] const std::filesystem::path& root() const override { return volume_.root(); }
  void remount(const std::string& options) override {
    demand(volume_.unmount());
    demand(volume_.check());
    demand(volume_.mount(engine_, options));
  }

 private:
  mount_test::MountedVolume volume_;
  const mount_test::Engine engine_;
};

class Ext4 : public Filesystem {
 public:
  Ext4() : mount_point_(temp_.path() / "mnt"), device_(temp_.path(), mount_test::DeviceKind::loop_512, kBytes) {
    std::filesystem::create_directory(mount_point_);
    // Large inodes with room for attributes; the value of an attribute may then have 64 KiB, too.
    demand(run({"mkfs.ext4", "-q", "-O", "ea_inode", device_.path()}));
    mount("");
  }
  ~Ext4() override {
    if (run({"umount", mount_point_.string()}).exit_status == 0) return;
    static_cast<void>(run({"umount", "--lazy", mount_point_.string()}));
  }
  [[nodiscard]] const std::filesystem::path& root() const override { return mount_point_; }
  void remount(const std::string& options) override {
    demand(run({"umount", mount_point_.string()}));
    mount(options);
  }

 private:
  void mount(const std::string& options) const {
    demand(run({"mount", "-t", "ext4", "-o", options.empty() ? "rw" : options, device_.path(), mount_point_.string()}));
  }

  mount_test::TempDir temp_;
  std::filesystem::path mount_point_;
  mount_test::TestDevice device_;
};

}  // namespace

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::ext4: return "ext4";
    case Kind::ashlarfs: return "ashlarfs";
    case Kind::ashlarfs_device: return "ashlarfs_device";
  }
  return "";
}

std::unique_ptr<Filesystem> Filesystem::make(Kind kind) {
  using mount_test::DeviceKind;
  using mount_test::Engine;
  if (kind == Kind::ext4) return std::make_unique<Ext4>();
  if (kind == Kind::ashlarfs) return std::make_unique<Ashlarfs>(DeviceKind::image, Engine::io_uring);
  return std::make_unique<Ashlarfs>(DeviceKind::loop_4096, Engine::aio);
}

}  // namespace ashlar::posix_test
