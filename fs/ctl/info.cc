// ashlarctl info DEVICE [--json]
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "fs/ctl/command.h"
#include "fs/ctl/superblock_report.h"
#include "fs/ctl/volume_reader.h"

namespace ashlar::ctl {
namespace {

struct InfoOptions {
  std::string device;
  bool json = false;
};

void print_text(const VolumeReader& volume, const format::Superblock& superblock) {
  fmt::print("AshlarFS volume on {}\n", volume.path());
  print_superblock(superblock);
  const auto places = volume.superblocks();
  for (std::size_t place = 0; place < places.size(); ++place) {
    fmt::print("  {:<12} slot {} copy {}: {}\n", place == 0 ? "superblocks" : "", slot_of_place(place),
               copy_of_place(place), place_text(places[place], volume.device_size()));
  }
}

void print_json(const VolumeReader& volume, const format::Superblock& superblock) {
  nlohmann::ordered_json json = superblock_json(superblock);
  json["device"] = volume.path();
  json["device_size"] = volume.device_size();
  const auto places = volume.superblocks();
  for (std::size_t place = 0; place < places.size(); ++place) {
    const Status status = format::validate(places[place], volume.device_size(), false);
    nlohmann::ordered_json entry = {{"slot", slot_of_place(place)},
                                    {"copy", copy_of_place(place)},
                                    {"valid", status.has_value()},
                                    {"state", place_text(places[place], volume.device_size())}};
    if (status) entry["generation"] = places[place].generation.value();
    json["superblocks"].push_back(std::move(entry));
  }
  // A label need not be UTF-8.
  fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

Status info(const InfoOptions& options) {
  const VolumeReader volume = TRY(VolumeReader::open(options.device));
  const format::Superblock superblock = TRY(volume.superblock());
  options.json ? print_json(volume, superblock) : print_text(volume, superblock);
  return {};
}

}  // namespace

void add_info(CLI::App& app, Action& action) {
  const auto options = std::make_shared<InfoOptions>();
  CLI::App* command = app.add_subcommand("info", "Shows a volume's superblock and geometry; also of a mounted one");
  command->add_option("DEVICE", options->device, "Block device or image file")->required();
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([options, &action] { action = [options] { return info(*options); }; });
}

}  // namespace ashlar::ctl
