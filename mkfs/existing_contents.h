// What a device holds already, as libblkid and our own superblock see it, and the erasing of it.
#pragma once

#include <optional>
#include <string>

#include "fs/base/result.h"

namespace ashlar::mkfs {

// For people: "an ext4 filesystem labelled 'home'", "a GPT partition table", "an AshlarFS volume"; nullopt when nothing
// is known there. Reads `path` without any lock.
[[nodiscard]] Result<std::optional<std::string>> describe_contents(const std::string& path);

// Erases the magic bytes of every filesystem, RAID, and partition table signature, backups included. On the medium when
// it returns.
[[nodiscard]] Status wipe_signatures(const std::string& path);

}  // namespace ashlar::mkfs
