// A volume in memory as an image file, for programs to be run on it.
#pragma once

#include <fstream>
#include <string>

#include "blockio/memory_device.h"
#include "tests/mkfs/scratch.h"

namespace ashlar::fsck::testing {

inline constexpr std::size_t kImageStep = 1U << 20;

// Sparse; written over when it exists. Returns its path.
inline std::string save_image(const ashlar::testing::Scratch& scratch, const std::string& name,
                              const blockio::MemoryImage& image) {
  std::string path = scratch.make_file(name, image.size());
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  std::string bytes(kImageStep, '\0');
  const std::string zeros(bytes.size(), '\0');
  for (std::uint64_t offset = 0; offset < image.size(); offset += bytes.size()) {
    image.read(offset, std::as_writable_bytes(std::span(bytes)));
    if (bytes == zeros) continue;
    file.seekp(static_cast<std::streamoff>(offset));
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  return path;
}

// The other way round; the file's size is a multiple of the step.
inline blockio::MemoryImage load_image(const std::string& path) {
  blockio::MemoryImage image(std::filesystem::file_size(path));
  std::ifstream file(path, std::ios::binary);
  std::string bytes(kImageStep, '\0');
  const std::string zeros(bytes.size(), '\0');
  for (std::uint64_t offset = 0; file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
       offset += bytes.size()) {
    if (bytes != zeros) image.write(offset, std::as_bytes(std::span(bytes)));
  }
  return image;
}

}  // namespace ashlar::fsck::testing
