#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "fs/ctl/command.h"

int main(int argc, char** argv) {
  CLI::App app("Looks into AshlarFS volumes.", "ashlarctl");
  app.set_version_flag("-V,--version", "ashlarctl " ASHLAR_VERSION);
  app.require_subcommand(1);
  ashlar::ctl::Action action;
  ashlar::ctl::add_info(app, action);
  ashlar::ctl::add_dump(app, action);
  ashlar::ctl::add_metadump(app, action);
  int exit_status = 0;
  ashlar::ctl::add_scrub(app, action, exit_status);
  ashlar::ctl::add_stat(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help, --version
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "ashlarctl: {} (see ashlarctl --help)\n", error.what());
    return 1;
  }
  const ashlar::Status status = action();
  if (status) return exit_status;
  fmt::print(stderr, "ashlarctl: {}\n", status.error().message());
  return exit_status == 0 ? 1 : exit_status;
}
