// `ashlarctl metadump`: an image of a volume's metadata alone, for bug reports.
#pragma once

#include <string>

#include "fs/ctl/volume_reader.h"

namespace ashlar::ctl {

// Writes a sparse file as large as the volume with all that is valid of its metadata as of the last checkpoint, each
// copy at its place: superblock, group table, bitmaps, and the tree with its names scrambled and contents written over
// (fs/ctl/name_scrambler.h). A damaged copy is left out, so that fsck finds it damaged there too. The log, which is
// full of names, and file data are left out. already_exists when there is a file of that name.
[[nodiscard]] Status write_metadump(const VolumeReader& reader, const std::string& path);

}  // namespace ashlar::ctl
