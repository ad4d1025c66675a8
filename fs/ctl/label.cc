// ashlarctl label MNT|DEVICE [NEW]
#include <fmt/format.h>
#include <linux/fs.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "fs/base/standard_streams.h"
#include "fs/ctl/commands.h"
#include "fs/ctl/mount_lookup.h"
#include "fs/ctl/superblock_change.h"
#include "fs/ctl/volume_reader.h"
#include "fs/ctl/volume_root.h"
#include "fs/format/text.h"

namespace ashlar::ctl {
namespace {

using Label = std::array<char, FSLABEL_MAX>;
static_assert(FSLABEL_MAX > format::kLabelSize);

void print_label(const std::string& label) { print("{}\n", format::printable(label)); }

constexpr RefusalWords kLabelRefusals{"label", "only root may change the label of a mounted volume",
                                      "its daemon is older and knows nothing of labels"};

Status ask_daemon(const std::string& mount_point, unsigned long command, Label& label) {
  const VolumeRoot root = TRY(VolumeRoot::open(mount_point, kLabelRefusals));
  if (const int error = root.ask(command, label.data()); error != 0) return root.refused(error);
  return {};
}

Status print_mounted(const std::string& mount_point) {
  Label label{};
  TRY(ask_daemon(mount_point, FS_IOC_GETFSLABEL, label));
  label.back() = '\0';
  print_label(label.data());
  return {};
}

Status set_mounted(const std::string& mount_point, const std::string& wanted) {
  Label label{};
  std::copy(wanted.begin(), wanted.end(), label.begin());
  return ask_daemon(mount_point, FS_IOC_SETFSLABEL, label);
}

Status set_unmounted(const std::string& path, const std::string& wanted) {
  return change_superblock(path, "writing the label", [&](format::Superblock& superblock) {
    std::fill(std::begin(superblock.label), std::end(superblock.label), '\0');
    std::copy(wanted.begin(), wanted.end(), std::begin(superblock.label));
  });
}

}  // namespace

Status label(const LabelOptions& options) {
  const auto [is_directory, mount_point] = TRY(find_target(options.target));
  if (options.wanted) {
    const std::string& wanted = *options.wanted;
    if (wanted.size() > format::kLabelSize) {
      return fail(ErrorCode::invalid_argument, fmt::format("{}: a label has at most {} bytes, and this one {}",
                                                           options.target, format::kLabelSize, wanted.size()));
    }
    if (!format::is_utf8(wanted)) {
      return fail(ErrorCode::invalid_argument,
                  fmt::format("{}: a label is UTF-8, and this one is not", options.target));
    }
    return mount_point.empty() ? set_unmounted(options.target, wanted) : set_mounted(mount_point, wanted);
  }
  if (is_directory) return print_mounted(mount_point);
  // Of a mounted device, too: a label is written at once.
  const VolumeReader reader = TRY(VolumeReader::open(options.target));
  const format::Superblock superblock = TRY(reader.superblock());
  print_label(format::label_text(superblock));
  return {};
}

}  // namespace ashlar::ctl
