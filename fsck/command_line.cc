#include "fsck/command_line.h"

#include <fcntl.h>
#include <fmt/core.h>

#include <CLI/CLI.hpp>

namespace ashlar::fsck {
CommandLine parse_command_line(int count, char** arguments) {
  CommandLine line;
  CLI::App app("Checks an AshlarFS volume that is not mounted, and repairs it.", "fsck.ashlarfs");
  app.set_version_flag("-V,--version", "fsck.ashlarfs " ASHLAR_VERSION);
  bool never = false;
  bool preen = false;
  bool yes = false;
  app.add_option("device", line.device, "block device or image file")->required();
  CLI::Option* const none = app.add_flag("-n", never, "open read-only, change nothing");
  CLI::Option* const safe = app.add_flag("-a,-p", preen, "repair what is safe without asking")->excludes(none);
  app.add_flag("-y", yes, "repair all that can be repaired without asking")->excludes(none)->excludes(safe);
  app.add_flag("-f", line.force, "check even if the volume is marked clean");
  app.add_flag("-v", line.verbose, "say which pass it is in, and why a volume is not looked at");
  app.add_flag("--data", line.data, "also read all file contents and compare their checksums");
  app.add_flag("--search", line.search, "look for a volume of which no trace of a superblock is left");
  app.add_flag("--json", line.json, "print the findings as JSON");
  app.add_option("-C", line.progress_descriptor,
                 "write progress to this descriptor as e2fsck does, not to the terminal");
  try {
    app.parse(count, arguments);
    // The next file opened, which is the device, would get the number of one that is not open.
    if (line.progress_descriptor > 0 && fcntl(line.progress_descriptor, F_GETFD) < 0)
      throw CLI::ValidationError("-C", fmt::format("descriptor {} is not open", line.progress_descriptor));
  } catch (const CLI::ParseError& error) {
    const bool asked = error.get_exit_code() == 0;
    line.exit_status = asked ? kClean : kUsageError;
    line.text = !asked ? fmt::format("fsck.ashlarfs: {}; see fsck.ashlarfs --help\n", error.what())
                : error.get_name() == "CallForVersion" ? std::string(error.what()) + "\n"
                                                       : app.help();
    return line;
  }
  line.mode = never ? Mode::never : preen ? Mode::safe : yes ? Mode::all : Mode::ask;
  line.run = true;
  return line;
}

}  // namespace ashlar::fsck
