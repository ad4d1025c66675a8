#include "fsck/print_report.h"

#include <fmt/format.h>

#include <iterator>
#include <nlohmann/json.hpp>

#include "fs/format/text.h"

namespace ashlar::fsck {

namespace {

// Names are any bytes, and none of them is to reach the terminal as a command.
std::string printable(const std::string& path) {
  std::string text;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= ' ' && byte <= '~' && byte != '\\') {
      text.push_back(c);
    } else {
      fmt::format_to(std::back_inserter(text), "\\{:03o}", byte);
    }
  }
  return text;
}

std::string line_of(const Report& report, const CommandLine& line, const Finding& finding) {
  const FindingKind& kind = kind_of(finding.id);
  const bool impossible = kind.repair == Repair::impossible;
  const char* outcome = finding.repaired ? ": repaired" : (impossible ? ": cannot be repaired" : "");
  const std::string* const path = report.path_of(finding);
  return fmt::format("{}: [{:03}] {}: {}{}{}\n", line.device, static_cast<unsigned>(finding.id), name_of(kind.severity),
                     finding.text, path == nullptr ? "" : " (" + printable(*path) + ")", outcome);
}

std::string text_of(const nlohmann::json& json) {
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string findings_to_text(const Report& report, const CommandLine& line, FindingId id) {
  std::string text;
  for (const Finding& finding : report.findings()) {
    if (finding.id == id) text += line_of(report, line, finding);
  }
  return text;
}

std::string to_text(const Report& report, const CommandLine& line) {
  std::string text;
  for (const Finding& finding : report.findings()) text += line_of(report, line, finding);
  return text + summary_to_text(report, line);
}

std::string summary_to_text(const Report& report, const CommandLine& line) {
  std::string text;
  const auto out = std::back_inserter(text);
  if (report.total() > report.findings().size()) {
    fmt::format_to(out, "{}: {} more findings\n", line.device, report.total() - report.findings().size());
  }
  if (!report.stop_reason.empty()) {
    fmt::format_to(out, "{}: a mount had to stop: {}\n", line.device, report.stop_reason);
  }
  const char* verdict = report.is_clean() ? "clean" : (report.is_repaired() ? "repaired" : "errors remain");
  fmt::format_to(out, "{}: {}, {} ({}), {}, {}/{} blocks\n", line.device, verdict,
                 format::count_text(report.inodes, "inode"),
                 format::count_text(report.directories, "directory", "directories"),
                 format::count_text(report.nodes, "tree node"), report.blocks_used, report.block_count);
  return text;
}

std::string to_json(const Report& report, const std::string& device) {
  nlohmann::json json;
  json["device"] = device;
  json["checked"] = true;
  json["clean"] = report.is_clean();
  json["total"] = report.total();
  json["inodes"] = report.inodes;
  json["directories"] = report.directories;
  json["nodes"] = report.nodes;
  if (!report.stop_reason.empty()) json["stop_reason"] = report.stop_reason;
  json["exit_status"] = exit_status_of(report);
  json["findings"] = nlohmann::json::array();
  for (const Finding& finding : report.findings()) {
    const FindingKind& kind = kind_of(finding.id);
    nlohmann::json entry{
        {"id", static_cast<unsigned>(finding.id)}, {"name", kind.name},    {"severity", name_of(kind.severity)},
        {"repair", name_of(kind.repair)},          {"text", finding.text}, {"repaired", finding.repaired}};
    if (!kind.question.empty()) entry["question"] = kind.question;
    if (finding.inode != 0) entry["inode"] = finding.inode;
    if (const std::string* const path = report.path_of(finding)) entry["path"] = *path;
    json["findings"].push_back(std::move(entry));
  }
  return text_of(json);
}

std::string skipped_to_text(const CommandLine& line) {
  return fmt::format("{}: clean{}\n", line.device,
                     line.verbose ? ", as it was unmounted well; not looked at (-f does all the same)" : "");
}

std::string skipped_to_json(const std::string& device) {
  return text_of({{"device", device},
                  {"checked", false},
                  {"clean", true},
                  {"total", 0},
                  {"exit_status", static_cast<int>(kClean)},
                  {"findings", nlohmann::json::array()}});
}

int exit_status_of(const Report& report) noexcept {
  if (report.is_clean()) return kClean;
  return report.is_repaired() ? kCorrected : kUncorrected;
}

}  // namespace ashlar::fsck
