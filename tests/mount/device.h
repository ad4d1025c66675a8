// The devices that the tests format and mount: image files, and loop devices over them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace ashlar::mount_test {

enum class DeviceKind { image, loop_512, loop_4096 };  // the number: bytes of a sector

[[nodiscard]] std::string_view name_of(DeviceKind kind);

// A sparse image of `bytes` bytes in `directory`, and unless `kind` is image a loop device over it with direct I/O.
// Detached by the destructor; who mounts it must be gone by then. Throws when the machine refuses.
class TestDevice {
 public:
  TestDevice(const std::filesystem::path& directory, DeviceKind kind, std::uint64_t bytes);
  ~TestDevice();
  TestDevice(const TestDevice&) = delete;
  TestDevice& operator=(const TestDevice&) = delete;

  // What mkfs and mount are given.
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const std::string& image() const { return image_; }

 private:
  std::string image_;
  std::string path_;
};

}  // namespace ashlar::mount_test
