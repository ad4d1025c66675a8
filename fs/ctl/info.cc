// ashlarctl info DEVICE [--json]

#include "fs/base/standard_streams.h"
#include "fs/ctl/commands.h"
#include "fs/ctl/superblock_report.h"
#include "fs/ctl/volume_reader.h"

namespace ashlar::ctl {
namespace {

void print_text(const VolumeReader& volume, const format::Superblock& superblock) {
  print("AshlarFS volume on {}\n", volume.path());
  print_superblock(superblock);
  const auto places = volume.superblocks();
  for (std::size_t place = 0; place < places.size(); ++place) {
    print("  {:<12} slot {} copy {}: {}\n", place == 0 ? "superblocks" : "", slot_of_place(place), copy_of_place(place),
          place_text(places[place], volume.device_size()));
  }
}

}  // namespace

Status show_info(const InfoOptions& options) {
  const VolumeReader volume = TRY(VolumeReader::open(options.device));
  const format::Superblock superblock = TRY(volume.superblock());
  if (options.json) {
    print("{}\n", info_json(volume, superblock));
  } else {
    print_text(volume, superblock);
  }
  return {};
}

}  // namespace ashlar::ctl
