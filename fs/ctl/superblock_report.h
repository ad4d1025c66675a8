// A superblock and its siblings, for people and as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "fs/ctl/volume_reader.h"
#include "fs/format/superblock.h"

namespace ashlar::ctl {

// "clean" or not, and whether fsck should look.
[[nodiscard]] std::string state_text(const format::Superblock& superblock);

// The place's generation when it is valid, else what is wrong with it.
[[nodiscard]] std::string place_text(const format::Superblock& superblock, std::uint64_t device_size);

void print_superblock(const format::Superblock& superblock);
[[nodiscard]] nlohmann::ordered_json superblock_json(const format::Superblock& superblock);

}  // namespace ashlar::ctl
