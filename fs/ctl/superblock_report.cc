#include "fs/ctl/superblock_report.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "fs/base/standard_streams.h"
#include "fs/format/key.h"
#include "fs/format/text.h"

namespace ashlar::ctl {
namespace {

constexpr std::uint64_t kLastPrintableSecond = 253'402'300'799ULL;  // of the year 9999

std::string time_text(std::uint64_t seconds) {
  if (seconds == 0) return "never";
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  if (seconds > kLastPrintableSecond || gmtime_r(&time, &parts) == nullptr) return "out of range";
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", parts);
}

template <typename Value>
void print_line(const char* name, const Value& value) {
  print("  {:<12} {}\n", name, value);
}

std::uint64_t count_of(const format::Superblock& superblock, format::ItemKind kind) {
  return superblock.item_count[static_cast<std::size_t>(kind)];
}

bool has_user_uuid(const format::Superblock& superblock) { return (superblock.compatible & format::kUserUuid) != 0; }

std::string failure_text(const format::FailureItem& failure) {
  return fmt::format("{}: {}", time_text(failure.time), format::reason_text(failure));
}

nlohmann::ordered_json failure_json(const format::FailureItem& failure) {
  return {{"time", failure.time.value()}, {"reason", format::reason_text(failure)}};
}

nlohmann::ordered_json superblock_json(const format::Superblock& superblock) {
  const auto layout = format::Layout::of(superblock);
  nlohmann::ordered_json json;
  json["label"] = format::label_text(superblock);
  json["uuid"] = format::uuid_text(format::shown_uuid(superblock));
  if (has_user_uuid(superblock)) json["metadata_uuid"] = format::uuid_text(superblock.uuid);
  json["version"] = superblock.version.value();
  json["features"] = {{"compatible", superblock.compatible.value()},
                      {"read_only_compatible", superblock.read_only_compatible.value()},
                      {"incompatible", superblock.incompatible.value()}};
  json["block_size"] = superblock.block_size.value();
  json["node_size"] = superblock.node_size.value();
  json["block_count"] = superblock.block_count.value();
  json["free_blocks"] = superblock.free_blocks.value();
  json["group_count"] = layout.group_count();
  json["generation"] = superblock.generation.value();
  json["clean"] = (superblock.flags & format::kCleanlyUnmounted) != 0;
  json["has_errors"] = (superblock.flags & format::kHasErrors) != 0;
  json["root"] = {{"blocks", {superblock.root.address[0].value(), superblock.root.address[1].value()}},
                  {"generation", superblock.root.generation.value()},
                  {"level", superblock.root.level}};
  json["node_count"] = superblock.node_count.value();
  json["inode_count"] = count_of(superblock, format::ItemKind::inode);
  json["next_inode"] = superblock.next_inode.value();
  json["group_table"] = {
      {"first_blocks", {superblock.group_table_first[0].value(), superblock.group_table_first[1].value()}},
      {"blocks", superblock.group_table_blocks.value()}};
  json["log"] = {{"first_block", superblock.log_first.value()},
                 {"blocks", superblock.log_blocks.value()},
                 {"epoch", superblock.log_epoch.value()},
                 {"start_lsn", superblock.log_start.value()}};
  json["created"] = superblock.created_time.value();
  json["mounted"] = superblock.mounted_time.value();
  json["written"] = superblock.written_time.value();
  json["mount_count"] = superblock.mount_count.value();
  json["errors"] = {{"metadata", superblock.metadata_errors.value()},
                    {"metadata_healed", superblock.metadata_healed.value()},
                    {"data", superblock.data_errors.value()}};
  json["failures"] = {{"count", superblock.failure_count.value()}};
  if (superblock.failure_count != 0) {
    json["failures"]["first"] = failure_json(superblock.first_failure);
    json["failures"]["last"] = failure_json(superblock.last_failure);
  }
  return json;
}

}  // namespace

std::string state_text(const format::Superblock& superblock) {
  const bool clean = (superblock.flags & format::kCleanlyUnmounted) != 0;
  const bool errors = (superblock.flags & format::kHasErrors) != 0;
  return fmt::format("{}{}", clean ? "clean" : "in use or not unmounted (the log is replayed at the next mount)",
                     errors ? ", has errors (run fsck.ashlarfs)" : "");
}

std::string place_text(const format::Superblock& superblock, std::uint64_t device_size) {
  if (superblock.magic == 0) return "empty";
  const Status status = format::validate(superblock, device_size, false);
  if (status) return fmt::format("generation {}", superblock.generation.value());
  return status.error().message();
}

void print_superblock(const format::Superblock& superblock) {
  const std::uint64_t block_size = superblock.block_size;
  const auto layout = format::Layout::of(superblock);
  const std::string label = format::label_text(superblock);
  print_line("label", label.empty() ? "(none)" : label);
  print_line("uuid", format::uuid_text(format::shown_uuid(superblock)));
  if (has_user_uuid(superblock)) print_line("  metadata's", format::uuid_text(superblock.uuid));
  print_line("format", fmt::format("version {}, features: compatible {}, read-only compatible {}, incompatible {}",
                                   superblock.version.value(),
                                   format::feature_text(format::FeatureWord::compatible, superblock.compatible),
                                   format::feature_text(format::FeatureWord::read_only_compatible,
                                                        superblock.read_only_compatible),
                                   format::feature_text(format::FeatureWord::incompatible, superblock.incompatible)));
  print_line("size", fmt::format("{}: {} of {} bytes in {}", format::size_text(superblock.block_count * block_size),
                                 format::count_text(superblock.block_count, "block"), block_size,
                                 format::count_text(layout.group_count(), "group")));
  print_line("free", fmt::format("{}: {}", format::size_text(superblock.free_blocks * block_size),
                                 format::count_text(superblock.free_blocks, "block")));
  print_line("tree",
             fmt::format("{} of {} bytes, kept twice, {}", format::count_text(superblock.node_count, "node"),
                         superblock.node_size.value(), format::count_text(superblock.root.level + 1U, "level")));
  print_line("inodes", fmt::format("{}, next number {}", count_of(superblock, format::ItemKind::inode),
                                   superblock.next_inode.value()));
  print_line("log", fmt::format("{} at block {}, epoch {:016x}, from LSN {}",
                                format::size_text(superblock.log_blocks * block_size), superblock.log_first.value(),
                                superblock.log_epoch.value(), superblock.log_start.value()));
  print_line("generation", superblock.generation.value());
  print_line("state", state_text(superblock));
  print_line("created", time_text(superblock.created_time));
  print_line("mounted", fmt::format("{}, {}", time_text(superblock.mounted_time),
                                    format::count_text(superblock.mount_count, "time")));
  print_line("written", time_text(superblock.written_time));
  print_line("errors", fmt::format("metadata {} found, {} healed; data {}", superblock.metadata_errors.value(),
                                   superblock.metadata_healed.value(), superblock.data_errors.value()));
  if (superblock.failure_count == 0) return;
  print_line("stopped", format::count_text(superblock.failure_count, "time"));
  print_line("first stop", failure_text(superblock.first_failure));
  print_line("last stop", failure_text(superblock.last_failure));
}

std::string info_json(const VolumeReader& volume, const format::Superblock& superblock) {
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
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace ashlar::ctl
