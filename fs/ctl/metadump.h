// `ashlarctl metadump`: an image of a volume's metadata alone, for bug reports.
#pragma once

#include <string>

#include "fs/ctl/volume_reader.h"

namespace ashlar::ctl {

// Writes a sparse file as large as the volume with all that is valid of its metadata, each copy at its place:
// superblock, group table, bitmaps, and the tree and the log with names scrambled and contents written over
// (fs/ctl/name_scrambler.h, fs/ctl/log_scrambler.h). A damaged copy is left out, so that fsck finds it damaged there
// too. File data is left out. already_exists when there is a file of that name; after another failure there is none.
[[nodiscard]] Status write_metadump(const VolumeReader& reader, const std::string& path);

}  // namespace ashlar::ctl
