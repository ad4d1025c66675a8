// ashlarctl uuid MNT|DEVICE [NEW]
#include <fmt/format.h>
#include <uuid/uuid.h>

#include "fs/base/standard_streams.h"
#include "fs/ctl/commands.h"
#include "fs/ctl/daemon_status.h"
#include "fs/ctl/mount_lookup.h"
#include "fs/ctl/superblock_change.h"
#include "fs/ctl/volume_reader.h"
#include "fs/format/text.h"

namespace ashlar::ctl {
namespace {

Status print_mounted_uuid(const std::string& mount_point) {
  const nlohmann::json status = TRY(read_status(mount_point));
  const auto found = status.find("uuid");
  if (found == status.end() || !found->is_string()) {
    return fail(ErrorCode::corrupt_structure, fmt::format("{}: the daemon's answer is not understood", mount_point));
  }
  print("{}\n", format::printable(found->get<std::string>()));
  return {};
}

Status set_uuid(const std::string& path, const std::string& wanted) {
  uuid_t uuid;
  if (wanted == "random") {
    uuid_generate(uuid);
  } else if (uuid_parse(wanted.c_str(), uuid) != 0) {
    return fail(ErrorCode::invalid_argument, fmt::format("{}: '{}' is not a UUID", path, wanted));
  }
  if (uuid_is_null(uuid) != 0) {
    return fail(ErrorCode::invalid_argument, fmt::format("{}: a volume has a UUID that is not all zeros", path));
  }
  return change_superblock(path, "writing the UUID",
                           [&](format::Superblock& superblock) { format::set_shown_uuid(superblock, uuid); });
}

}  // namespace

Status uuid(const UuidOptions& options) {
  const auto [is_directory, mount_point] = TRY(find_target(options.target));
  if (options.wanted) {
    if (mount_point.empty()) return set_uuid(options.target, *options.wanted);
    return fail(ErrorCode::busy, fmt::format("{}: mounted at {}: the UUID is changed while the volume is not",
                                             options.target, mount_point));
  }
  if (is_directory) return print_mounted_uuid(mount_point);
  const VolumeReader reader = TRY(VolumeReader::open(options.target));
  const format::Superblock superblock = TRY(reader.superblock());
  print("{}\n", format::uuid_text(format::shown_uuid(superblock)));
  return {};
}

}  // namespace ashlar::ctl
