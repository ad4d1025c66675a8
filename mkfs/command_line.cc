#include "mkfs/command_line.h"

#include <fmt/format.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <bit>
#include <cstdio>
#include <vector>

#include "fs/base/standard_streams.h"
#include "fs/format/text.h"

namespace ashlar::mkfs {
namespace {

constexpr int kFailed = 1;
constexpr std::uint32_t kSmallestOfferedBlock = 4096;

constexpr const char* kFooter =
    "SIZE is in bytes or has a suffix (K, M, G, T, P: powers of 1024). With SIZE a missing image file is created, "
    "sparse.\n"
    "Example: mkfs.ashlarfs -L data disk.img 64G";

std::string check_power_of_two(const std::string& text, std::uint32_t low, std::uint32_t high) {
  const auto size = format::parse_size(text);
  if (size && *size >= low && *size <= high && std::has_single_bit(*size)) return {};
  return fmt::format("'{}' is not a power of two from {} to {}", text, low, high);
}

std::string check_uuid(const std::string& text) {
  if (text == "random") return {};
  uuid_t uuid;
  if (uuid_parse(text.c_str(), uuid) != 0) return fmt::format("'{}' is not a UUID", text);
  return uuid_is_null(uuid) != 0 ? "a volume has a UUID that is not all zeros" : std::string();
}

std::string check_features(const std::string& text) {
  if (text.empty() || text == "none" || text == "default" || text == "mmp") return {};
  return fmt::format("unknown feature '{}': there is mmp", text);
}

std::string check_label(const std::string& text) {
  if (text.size() > format::kLabelSize) return fmt::format("a label has at most {} bytes", format::kLabelSize);
  return format::is_utf8(text) ? std::string() : "a label is UTF-8, and this one is not";
}

std::string check_size(const std::string& text) {
  const auto size = format::parse_size(text);
  if (size && *size > 0) return {};
  return fmt::format("'{}' is not a size", text);
}

struct RawOptions {
  std::string size;
  std::string block_size;
  std::string node_size;
  std::string uuid;
  std::vector<std::string> features;
};

std::uint32_t small_size(const std::string& text) {
  return text.empty() ? 0 : static_cast<std::uint32_t>(format::parse_size(text).value_or(0));
}

void apply(const RawOptions& raw, FormatOptions& options) {
  options.volume_bytes = raw.size.empty() ? 0 : format::parse_size(raw.size).value_or(0);
  options.block_size = small_size(raw.block_size);
  options.node_size = small_size(raw.node_size);
  if (!raw.uuid.empty() && raw.uuid != "random") {
    Uuid uuid{};
    if (uuid_parse(raw.uuid.c_str(), uuid.data()) == 0) options.uuid = uuid;
  }
  for (const std::string& feature : raw.features) {
    if (feature == "mmp") options.read_only_compatible |= format::kHostClaims;
  }
}

}  // namespace

std::variant<CommandLine, int> parse_command_line(int argc, const char* const* argv) {
  CommandLine line;
  RawOptions raw;
  bool keep = false;
  CLI::App app("Makes an empty AshlarFS volume on a block device or in an image file.", "mkfs.ashlarfs");
  app.set_version_flag("-V,--version", "mkfs.ashlarfs " ASHLAR_VERSION);
  app.footer(kFooter);
  app.add_option("DEVICE", line.device, "Block device or image file")->required();
  app.add_option("SIZE", raw.size, "Size of the volume; the default is all of the device")->check(check_size);
  app.add_option("-L,--label", line.format.label, "Label, at most 64 bytes")->check(check_label);
  app.add_option("-U,--uuid", raw.uuid, "UUID of the volume, or 'random' (the default)")->check(check_uuid);
  app.add_option("-b,--block-size", raw.block_size, "Bytes of a block, 4K to 64K; the default is 4K")
      ->check([](const std::string& text) {
        return check_power_of_two(text, kSmallestOfferedBlock, format::kMaxBlockSize);
      });
  app.add_option("--node-size", raw.node_size, "Bytes of a tree node, the block size to 64K; the default is 16K")
      ->check([](const std::string& text) {
        return check_power_of_two(text, kSmallestOfferedBlock, format::kMaxNodeSize);
      });
  app.add_option("-O,--features", raw.features,
                 "Features to switch on: mmp (a volume that several hosts reach is mounted by one)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(check_features);
  app.add_flag("-K,--no-discard", keep, "Do not discard the device's contents first");
  app.add_flag("-f,--force", line.force, "Overwrite another filesystem, partition table or volume");
  app.add_flag("-n,--dry-run", line.dry_run, "Show what would be done and change nothing");
  app.add_flag("-q,--quiet", line.quiet, "Print nothing unless something goes wrong");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help, --version
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    print(stderr, "mkfs.ashlarfs: {} (see mkfs.ashlarfs --help)\n", error.what());
    return kFailed;
  }
  apply(raw, line.format);
  line.format.discard = !keep;
  // Who makes an image without being root is to use it, too.
  line.format.owner = {geteuid(), getegid()};
  return line;
}

}  // namespace ashlar::mkfs
