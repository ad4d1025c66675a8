// ashlarctl map DEVICE [--json]
#include <fmt/format.h>
#include <langinfo.h>
#include <locale.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string_view>

#include "fs/base/standard_streams.h"
#include "fs/base/terminal_progress.h"
#include "fs/ctl/commands.h"
#include "fs/ctl/space_map.h"
#include "fs/ctl/space_reader.h"
#include "fs/ctl/volume_reader.h"
#include "fs/format/text.h"

namespace ashlar::ctl {
namespace {

constexpr unsigned kRows = 16;
constexpr unsigned kUsualWidth = 80;
constexpr unsigned kLeastWidth = 16;
constexpr unsigned kMostWidth = 1024;
constexpr unsigned kMargin = 12;  // "  1.25 GiB  "
constexpr int kAttempts = 5;

// What the characters are: the steps from nearly free to nearly full between `free` and `full`.
struct Alphabet {
  std::string_view free, full, fixed, unknown;
  std::vector<std::string_view> partly;
};

const Alphabet& alphabet(bool is_utf8) {
  static const Alphabet plain{".", "#", "F", "?", {"1", "2", "3", "4", "5", "6", "7", "8", "9"}};
  static const Alphabet blocks{"·", "█", "▒", "?", {"▁", "▂", "▃", "▄", "▅", "▆", "▇"}};
  return is_utf8 ? blocks : plain;
}

bool shows_utf8() {
  if (isatty(STDOUT_FILENO) == 0) return false;
  const locale_t locale = newlocale(LC_CTYPE_MASK, "", nullptr);
  if (locale == nullptr) return false;
  const bool is_utf8 = std::string_view(nl_langinfo_l(CODESET, locale)) == "UTF-8";
  freelocale(locale);
  return is_utf8;
}

unsigned columns() {
  winsize window{};
  const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col != 0;
  const unsigned width = known ? window.ws_col : kUsualWidth;
  return std::clamp(width - std::min(width, kMargin), kLeastWidth, kMostWidth);
}

struct Picture {
  format::Superblock superblock{};
  SpaceMap map{0, 1};
  std::uint32_t unknown_groups = 0;
  std::string first_error;

  // Every group could be read, and they are of the same moment as the superblock.
  [[nodiscard]] bool is_whole() const { return unknown_groups == 0 && map.free().blocks == superblock.free_blocks; }
};

void add_bitmap(SpaceMap& map, std::span<const std::byte> bitmap, std::uint32_t blocks) {
  constexpr std::byte kAll{0xff};
  BlockState state = BlockState::free;
  std::uint64_t run = 0;
  const auto go_on = [&](BlockState next, std::uint64_t count) {
    if (next != state) {
      map.add(state, run);
      state = next;
      run = 0;
    }
    run += count;
  };
  for (std::uint32_t i = 0; i < blocks;) {
    const std::byte bits = bitmap[i / 8];
    if (i % 8 == 0 && blocks - i >= 8 && (bits == std::byte{0} || bits == kAll)) {  // mostly, and many alike
      std::uint32_t end = i / 8 + 1;
      while (end < blocks / 8 && bitmap[end] == bits) ++end;
      go_on(bits == kAll ? BlockState::used : BlockState::free, std::uint64_t{end} * 8 - i);
      i = end * 8;
    } else {
      go_on((bits >> (i % 8) & std::byte{1}) != std::byte{0} ? BlockState::used : BlockState::free, 1);
      ++i;
    }
  }
  map.add(state, run);
}

Result<Picture> take_picture(const VolumeReader& reader, std::uint64_t cells) {
  Picture picture;
  picture.superblock = TRY(reader.superblock());
  picture.map = SpaceMap(picture.superblock.block_count, cells);
  SpaceReader space(reader, picture.superblock);
  const format::Layout& layout = space.layout();
  TerminalProgress progress("map");
  for (std::uint32_t group = 0; group < layout.group_count(); ++group) {
    for (const BlockRun run : layout.fixed_runs(group)) picture.map.mark_fixed(run);
    const std::uint32_t blocks = layout.blocks_in_group(group);
    const Result<std::span<const std::byte>> bitmap = space.read_group(group);
    if (bitmap) {
      add_bitmap(picture.map, *bitmap, blocks);
    } else {
      picture.map.add(BlockState::unknown, blocks);
      if (picture.unknown_groups++ == 0) picture.first_error = bitmap.error().message();
    }
    progress.show(layout.byte_offset(layout.group_first(group)), layout.block_count() * layout.block_size());
  }
  picture.map.finish();
  return picture;
}

// A daemon that goes on meanwhile writes the bitmaps of its checkpoints in turn to two places: those of the superblock
// that was read first may be gone. Then once more.
Result<Picture> take_whole_picture(const VolumeReader& reader, std::uint64_t cells) {
  for (int attempt = 1;; ++attempt) {
    Picture picture = TRY(take_picture(reader, cells));
    if (picture.is_whole() || attempt == kAttempts) return picture;
    const format::Superblock now = TRY(reader.superblock());
    if (now.generation == picture.superblock.generation) return picture;
  }
}

Status complain(const VolumeReader& reader, const Picture& picture) {
  if (picture.is_whole()) return {};
  if (picture.unknown_groups != 0) {
    return fail(ErrorCode::bad_checksum,
                fmt::format("{}; {} unknown; unless the volume is in use and changing fast, run fsck.ashlarfs",
                            picture.first_error, format::count_text(picture.unknown_groups, "group")));
  }
  return fail(ErrorCode::corrupt_structure,
              fmt::format("{}: {} blocks are free in the bitmaps and {} by the superblock; unless the volume is in use "
                          "and changing fast, run fsck.ashlarfs",
                          reader.path(), picture.map.free().blocks, picture.superblock.free_blocks.value()));
}

std::string_view character(const SpaceMap::Cell& cell, std::uint64_t blocks, const Alphabet& letters) {
  if (cell.unknown != 0) return letters.unknown;
  if (cell.fixed >= blocks - blocks / 2) return letters.fixed;
  if (cell.used == 0) return letters.free;
  if (cell.used >= blocks) return letters.full;
  const double part = static_cast<double>(cell.used) / static_cast<double>(blocks);
  const auto step = static_cast<std::size_t>(part * static_cast<double>(letters.partly.size()));
  return letters.partly[std::min(step, letters.partly.size() - 1)];
}

void print_rows(const Picture& picture, unsigned width) {
  const Alphabet& letters = alphabet(shows_utf8());
  const SpaceMap& map = picture.map;
  const std::uint64_t block_size = picture.superblock.block_size;
  for (std::size_t first = 0; first < map.cells().size(); first += width) {
    std::string row;
    for (std::size_t i = first; i < std::min<std::size_t>(first + width, map.cells().size()); ++i) {
      row += character(map.cells()[i], map.blocks_in_cell(i), letters);
    }
    print("{:>10}  {}\n", format::size_text(first * map.cell_blocks() * block_size), row);
  }
  print("{} in use, {} to {} partly, {} free, {} mostly fixed parts{}; each {}\n", letters.full, letters.partly.front(),
        letters.partly.back(), letters.free, letters.fixed,
        picture.unknown_groups != 0 ? fmt::format(", {} unknown", letters.unknown) : std::string(),
        format::size_text(map.cell_blocks() * block_size));
}

double percent(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(whole);
}

void print_totals(const Picture& picture) {
  const SpaceMap& map = picture.map;
  const SpaceMap::Cell total = map.total();
  const SpaceMap::FreeRuns free = map.free();
  const auto line = [&](const char* name, std::uint64_t blocks) {
    print("  {:<16} {:>10}  {:>5.1f} %\n", name, format::size_text(blocks * picture.superblock.block_size),
          percent(blocks, picture.superblock.block_count));
  };
  line("files, metadata", total.used - std::min(total.used, total.fixed));
  line("fixed parts", total.fixed);
  line("free", free.blocks);
  if (total.unknown != 0) line("unknown", total.unknown);
  line("longest free run", map.longest_free_run());
  if (free.count == 0) return;
  print("free runs from, how many, how much of what is free\n");
  for (std::size_t i = 0; i < map.free_runs().size(); ++i) {
    const SpaceMap::FreeRuns& runs = map.free_runs()[i];
    if (runs.count == 0) continue;
    print("  {:>10} {:>10} {:>10}  {:>5.1f} %\n",
          format::size_text((std::uint64_t{1} << i) * picture.superblock.block_size), runs.count,
          format::size_text(runs.blocks * picture.superblock.block_size), percent(runs.blocks, free.blocks));
  }
}

void print_json(const VolumeReader& reader, const Picture& picture) {
  const SpaceMap& map = picture.map;
  const SpaceMap::Cell total = map.total();
  nlohmann::ordered_json json;
  json["device"] = reader.path();
  json["generation"] = picture.superblock.generation.value();
  json["block_size"] = picture.superblock.block_size.value();
  json["blocks"] = picture.superblock.block_count.value();
  json["used"] = total.used - std::min(total.used, total.fixed);
  json["fixed"] = total.fixed;
  json["free"] = map.free().blocks;
  json["unknown"] = total.unknown;
  json["longest_free_run"] = map.longest_free_run();
  json["free_runs"] = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < map.free_runs().size(); ++i) {
    const SpaceMap::FreeRuns& runs = map.free_runs()[i];
    if (runs.count == 0) continue;
    json["free_runs"].push_back({{"from", std::uint64_t{1} << i}, {"count", runs.count}, {"blocks", runs.blocks}});
  }
  print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace

Status map(const MapOptions& options) {
  const VolumeReader reader = TRY(VolumeReader::open(options.device));
  const unsigned width = columns();
  const Picture picture = TRY(take_whole_picture(reader, std::uint64_t{width} * kRows));
  if (options.json) {
    print_json(reader, picture);
  } else {
    const std::uint64_t block_size = picture.superblock.block_size;
    print("{}: {} in {} of {} bytes, as of generation {}\n", reader.path(),
          format::size_text(picture.superblock.block_count * block_size),
          format::count_text(picture.superblock.block_count, "block"), block_size,
          picture.superblock.generation.value());
    print_rows(picture, width);
    print_totals(picture);
  }
  std::fflush(stdout);  // what is wrong comes behind it
  return complain(reader, picture);
}

}  // namespace ashlar::ctl
