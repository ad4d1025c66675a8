#include "fs/ctl/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "fs/base/standard_streams.h"
#include "fs/ctl/commands.h"
#include "fs/format/text.h"

namespace ashlar::ctl {
namespace {

constexpr int kFailed = 1;
constexpr int kScrubUsage = 16;  // as fsck(8) has it: 1 is "damage, and all of it healed" there

// Where a word is unknown, CLI11 says only what is missing.
std::string complaint_of(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<std::string> unknown = app.remaining(true);
  if (error.get_name() != "RequiredError" || unknown.empty()) return error.what();
  return fmt::format("'{}' is unknown", unknown.front());
}

// Each adds its command to `app` and, when it is the one chosen, sets `action`, which outlives the parsing.

void add_info(CLI::App& app, Action& action) {
  const auto options = std::make_shared<InfoOptions>();
  CLI::App* command = app.add_subcommand("info", "Shows a volume's superblock and geometry; also of a mounted one");
  command->add_option("DEVICE", options->device, "Block device or image file")->required();
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([options, &action] { action = [options](int&) { return show_info(*options); }; });
}

void add_label(CLI::App& app, Action& action) {
  const auto options = std::make_shared<LabelOptions>();
  CLI::App* command = app.add_subcommand("label", "Shows or changes a volume's label, mounted or not");
  command->add_option("VOLUME", options->target, "Mount point, block device or image file")->required();
  command->add_option("NEW", options->wanted, "At most 64 bytes; '' for none");
  command->callback([options, &action] { action = [options](int&) { return label(*options); }; });
}

void add_uuid(CLI::App& app, Action& action) {
  const auto options = std::make_shared<UuidOptions>();
  CLI::App* command = app.add_subcommand("uuid", "Shows a volume's UUID; changes it while it is not mounted");
  command->add_option("VOLUME", options->target, "Mount point, block device or image file")->required();
  command->add_option("NEW", options->wanted, "A UUID, or 'random'");
  command->callback([options, &action] { action = [options](int&) { return uuid(*options); }; });
}

void add_dump(CLI::App& app, Action& action) {
  const auto options = std::make_shared<DumpOptions>();
  CLI::App* command = app.add_subcommand("dump", "Prints structures of a volume as they are on the device");
  command->add_option("DEVICE", options->device, "Block device or image file")->required();
  command->require_subcommand(1);
  const auto add = [&](const char* name, const char* what, DumpPart part) {
    CLI::App* subcommand = command->add_subcommand(name, what);
    subcommand->callback([options, &action, part] {
      options->part = part;
      action = [options](int&) { return dump(*options); };
    });
    return subcommand;
  };
  add("superblock", "All four superblocks", DumpPart::superblock);
  add("group", "A block group's table entry and bitmap", DumpPart::group)
      ->add_option("N", options->group, "Number of the group, from 0")
      ->required();
  add("node", "A tree node", DumpPart::node)
      ->add_option("BLOCK", options->block, "First block of either copy")
      ->required();
  add("inode", "All items of an inode", DumpPart::inode)
      ->add_option("N", options->inode, "Its number, as ls -i shows it")
      ->required();
  add("path", "The names on the way to a file, and its items", DumpPart::path)
      ->add_option("PATH", options->path, "From the volume's root")
      ->required();
  add("log", "The records that a mount would replay", DumpPart::log);
}

void add_map(CLI::App& app, Action& action) {
  const auto options = std::make_shared<MapOptions>();
  CLI::App* command = app.add_subcommand("map", "Draws what of a volume is in use, and tells how its free space lies");
  command->add_option("DEVICE", options->device, "Block device or image file")->required();
  command->add_flag("--json", options->json, "Print JSON: the figures without the picture");
  command->callback([options, &action] { action = [options](int&) { return map(*options); }; });
}

void add_metadump(CLI::App& app, Action& action) {
  const auto options = std::make_shared<MetadumpOptions>();
  CLI::App* command = app.add_subcommand("metadump", "Writes an image of the metadata alone, with names scrambled");
  command->add_option("DEVICE", options->device, "Block device or image file")->required();
  command->add_option("IMAGE", options->image, "Sparse file to be made; must not exist")->required();
  command->callback([options, &action] { action = [options](int&) { return metadump(*options); }; });
}

void add_scrub(CLI::App& app, Action& action) {
  const auto options = std::make_shared<ScrubOptions>();
  CLI::App* command = app.add_subcommand("scrub", "Reads all of a mounted volume, heals metadata, names damaged files");
  command->add_option("MNT", options->target, "Mount point, or the mounted device or image file")->required();
  command->add_option("--rate", options->rate, "MiB a second at most; 0: as fast as it goes")
      ->check(CLI::Range(std::uint64_t{0}, kMaxScrubRate))
      ->capture_default_str();
  command->add_flag("--json", options->json, "Print JSON");
  command->callback(
      [options, &action] { action = [options](int& exit_status) { return scrub(*options, exit_status); }; });
}

void add_defrag(CLI::App& app, Action& action) {
  const auto options = std::make_shared<DefragOptions>();
  CLI::App* command = app.add_subcommand("defrag", "Puts the pieces of files together while they are in use");
  command->add_option("PATH", options->paths, "Files of mounted volumes; with -r, directories as well")->required();
  command->add_flag("-r,--recursive", options->recursive, "All files below directories, within their filesystem");
  command->add_option("--min-run", options->shortest_run, "Pieces shorter than this are put together (1M)")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(std::uint64_t{1}, kMaxShortestRun));
  command->add_flag("-n,--dry-run", options->dry_run, "Only tell how files lie and what would be moved");
  command->add_flag("-v,--verbose", options->verbose, "A line for each file");
  command->callback(
      [options, &action] { action = [options](int& exit_status) { return defrag(*options, exit_status); }; });
}

void add_filefrag(CLI::App& app, Action& action) {
  const auto options = std::make_shared<FilefragOptions>();
  CLI::App* command = app.add_subcommand("filefrag", "Tells in how many pieces files lie");
  command->add_option("PATH", options->paths, "Files of mounted volumes")->required();
  command->add_flag("-v,--verbose", options->verbose, "A line for each extent");
  command->callback(
      [options, &action] { action = [options](int& exit_status) { return filefrag(*options, exit_status); }; });
}

void add_trim(CLI::App& app, Action& action) {
  const auto options = std::make_shared<TrimOptions>();
  CLI::App* command = app.add_subcommand("trim", "Tells the device of a mounted volume which blocks are free");
  command->add_option("MNT", options->target, "Mount point, or the mounted device or image file")->required();
  command->add_option("--min", options->shortest_run, "Free runs shorter than this are left alone (0)")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(std::uint64_t{0}, kMaxTrimMinimum));
  command->callback(
      [options, &action] { action = [options](int& exit_status) { return trim(*options, exit_status); }; });
}

void add_resize(CLI::App& app, Action& action) {
  const auto options = std::make_shared<ResizeOptions>();
  const auto size = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("resize", "Makes a mounted volume larger while it is in use");
  command->add_option("MNT", options->target, "Mount point, or the mounted device or image file")->required();
  command
      ->add_option("SIZE", *size,
                   "Bytes, or with a suffix (K, M, G, T, P: powers of 1024); the default is all of the device. A "
                   "shorter image file is made longer")
      ->check([](const std::string& text) {
        const auto bytes = format::parse_size(text);
        return bytes && *bytes > 0 ? std::string() : fmt::format("'{}' is not a size", text);
      });
  command->add_flag("-n,--dry-run", options->dry_run, "Only tell what it would do");
  command->callback([options, size, &action] {
    options->size = size->empty() ? 0 : format::parse_size(*size).value_or(0);
    action = [options](int&) { return resize(*options); };
  });
}

void add_stat(CLI::App& app, Action& action) {
  const auto options = std::make_shared<StatOptions>();
  CLI::App* command = app.add_subcommand("stat", "Shows what the daemon of a mounted volume does and has met");
  command->add_option("MNT", options->target, "Mount point, or the mounted device or image file")->required();
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([options, &action] { action = [options](int&) { return show_status(*options); }; });
}

}  // namespace

std::variant<Action, int> parse_command_line(int argc, const char* const* argv) {
  CLI::App app("Looks into AshlarFS volumes.", "ashlarctl");
  app.set_version_flag("-V,--version", "ashlarctl " ASHLAR_VERSION);
  app.require_subcommand(1);
  Action action;
  add_info(app, action);
  add_label(app, action);
  add_uuid(app, action);
  add_dump(app, action);
  add_map(app, action);
  add_metadump(app, action);
  add_scrub(app, action);
  add_defrag(app, action);
  add_filefrag(app, action);
  add_trim(app, action);
  add_resize(app, action);
  add_stat(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help, --version
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    print(stderr, "ashlarctl: {} (see ashlarctl --help)\n", complaint_of(app, error));
    return app.got_subcommand("scrub") ? kScrubUsage : kFailed;
  }
  return action;
}

}  // namespace ashlar::ctl
