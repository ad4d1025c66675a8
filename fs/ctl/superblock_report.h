// A superblock and its siblings, for people and as JSON.
#pragma once

#include <string>

#include "fs/ctl/volume_reader.h"
#include "fs/format/superblock.h"

namespace ashlar::ctl {

// "clean" or not, and whether fsck should look.
[[nodiscard]] std::string state_text(const format::Superblock& superblock);

// The place's generation when it is valid, else what is wrong with it.
[[nodiscard]] std::string place_text(const format::Superblock& superblock, std::uint64_t device_size);

void print_superblock(const format::Superblock& superblock);

// As print_superblock(), with all the places.
[[nodiscard]] std::string info_json(const VolumeReader& volume, const format::Superblock& superblock);

}  // namespace ashlar::ctl
