// What `diff -r` does not look at.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace ashlar::mount_test {

// The differences in type, permissions, owner, size (not of directories), modification time and symlink
// target of everything below the two directories, one line each, at most a few.
[[nodiscard]] std::vector<std::string> metadata_differences(const std::filesystem::path& original,
                                                            const std::filesystem::path& copy);

}  // namespace ashlar::mount_test
