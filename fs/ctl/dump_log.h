// The records of a volume's log, one line an operation.
#pragma once

#include "fs/base/result.h"
#include "fs/ctl/volume_reader.h"

namespace ashlar::ctl {

// From the superblock's log start up to the first chunk that is not there or not sound.
[[nodiscard]] Status dump_log(const VolumeReader& volume, const format::Superblock& superblock);

}  // namespace ashlar::ctl
