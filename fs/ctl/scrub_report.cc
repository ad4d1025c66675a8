#include "fs/ctl/scrub_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>

#include "fs/format/text.h"

namespace ashlar::ctl {
namespace {

using fuse::ScrubFinding;
using fuse::ScrubWhat;

std::string_view name_of(ScrubWhat what) {
  switch (what) {
    case ScrubWhat::superblock: return "superblock";
    case ScrubWhat::group_table: return "group table";
    case ScrubWhat::bitmap: return "bitmap";
    case ScrubWhat::node: return "tree node";
    case ScrubWhat::data: return "data";
  }
  return "unknown";
}

bool has(const ScrubFinding& finding, std::uint8_t flag) { return (finding.flags & flag) != 0; }

std::string_view fate_of(const ScrubFinding& finding) {
  if (has(finding, fuse::kScrubHealed)) return "healed from the other copy";
  return has(finding, fuse::kScrubLost) ? "the other copy is bad, too: run fsck.ashlarfs" : "not rewritten";
}

}  // namespace

void ScrubReport::add(const fuse::ScrubExchange& step) {
  metadata_bytes += step.metadata_bytes;
  data_bytes += step.data_bytes;
  unchecked_bytes += step.unchecked_bytes;
  const std::size_t count = std::min<std::size_t>(step.finding_count, fuse::kScrubFindings);
  for (std::size_t i = 0; i < count; ++i) {
    const ScrubFinding& finding = step.findings[i];
    if (finding.what == ScrubWhat::data) {
      ++data_bad;
    } else {
      ++metadata_bad;
      if (has(finding, fuse::kScrubHealed)) ++metadata_healed;
    }
    if (findings.size() < kMaxKeptFindings) findings.push_back(finding);
  }
}

std::string finding_text(const ScrubFinding& finding) {
  const char* const why = std::strerror(finding.error);
  if (finding.what == ScrubWhat::data) {
    if (finding.first == finding.last) return fmt::format("inode {}: an extent is malformed ({})", finding.where, why);
    return fmt::format("inode {}: bytes {} to {} are damaged ({})", finding.where, finding.first, finding.last - 1,
                       why);
  }
  std::string text =
      fmt::format("{} at byte {}: bad ({}); {}", name_of(finding.what), finding.where, why, fate_of(finding));
  if (finding.what == ScrubWhat::node && has(finding, fuse::kScrubLost)) {
    text += finding.last == ~0ULL ? fmt::format("; inodes from {} on", finding.first)
                                  : fmt::format("; inodes {} to {}", finding.first, finding.last);
  }
  return text;
}

std::string summary_text(const ScrubReport& report) {
  std::string text = fmt::format("{}{} of metadata and {} of data read: ", report.cancelled ? "stopped early; " : "",
                                 format::size_text(report.metadata_bytes), format::size_text(report.data_bytes));
  if (!report.found_damage()) {
    text += "no damage";
  } else {
    text += fmt::format("{} of metadata bad, {} healed; {} of file data damaged",
                        format::count_text(report.metadata_bad, "block"), report.metadata_healed,
                        format::count_text(report.data_bad, "run"));
  }
  if (report.unchecked_bytes != 0) {
    text += fmt::format(" ({} of data have no checksums)", format::size_text(report.unchecked_bytes));
  }
  return text;
}

std::string report_json(const ScrubReport& report) {
  nlohmann::ordered_json json;
  json["finished"] = !report.cancelled;
  json["metadata_bytes"] = report.metadata_bytes;
  json["data_bytes"] = report.data_bytes;
  json["unchecked_bytes"] = report.unchecked_bytes;
  json["metadata_bad"] = report.metadata_bad;
  json["metadata_healed"] = report.metadata_healed;
  json["data_bad"] = report.data_bad;
  json["findings"] = nlohmann::ordered_json::array();
  for (const ScrubFinding& finding : report.findings) {
    const bool data = finding.what == ScrubWhat::data;
    nlohmann::ordered_json one = {{"what", name_of(finding.what)},
                                  {data ? "inode" : "offset", finding.where},
                                  {data ? "first_byte" : "first_inode", finding.first},
                                  {data ? "end_byte" : "last_inode", finding.last},
                                  {"healed", has(finding, fuse::kScrubHealed)},
                                  {"lost", has(finding, fuse::kScrubLost)}};
    json["findings"].push_back(std::move(one));
  }
  json["files"] = nlohmann::ordered_json::array();
  for (const ScrubReport::Name& name : report.names) {
    json["files"].push_back({{"path", name.path}, {"inode", name.inode}});
  }
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace ashlar::ctl
