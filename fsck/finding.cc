#include "fsck/finding.h"

#include <algorithm>
#include <array>

namespace ashlar::fsck {
namespace {

constexpr std::array kKinds = {
#define FINDING(id, name, severity, repair, about, message, question) \
  FindingKind{FindingId::name, #name, Severity::severity, Repair::repair, about, message, question},
#include "fsck/findings.def"
#undef FINDING
};

constexpr bool ids_ascend() {
  for (std::size_t i = 1; i < kKinds.size(); ++i) {
    if (kKinds[i - 1].id >= kKinds[i].id) return false;
  }
  return true;
}
static_assert(ids_ascend(), "kind_of searches by halves");

constexpr bool is_made(Repair repair) { return repair != Repair::none && repair != Repair::impossible; }
static_assert(std::all_of(kKinds.begin(), kKinds.end(),
                          [](const FindingKind& kind) { return is_made(kind.repair) != kind.question.empty(); }),
              "every repair is asked for");

}  // namespace

const FindingKind& kind_of(FindingId id) noexcept {
  return *std::lower_bound(kKinds.begin(), kKinds.end(), id,
                           [](const FindingKind& kind, FindingId wanted) { return kind.id < wanted; });
}

std::string_view name_of(Severity severity) noexcept {
  switch (severity) {
    case Severity::note: return "note";
    case Severity::healable: return "healable";
    case Severity::error: return "error";
    case Severity::fatal: return "fatal";
  }
  return "error";
}

std::string_view name_of(Repair repair) noexcept {
  switch (repair) {
    case Repair::none: return "none";
    case Repair::copy: return "copy";
    case Repair::recount: return "recount";
    case Repair::rebuild: return "rebuild";
    case Repair::impossible: return "impossible";
  }
  return "impossible";
}

std::uint64_t Report::count(FindingId id) {
  ++total_;
  const Severity severity = kind_of(id).severity;
  if (severity != Severity::note) ++wrong_;
  if (severity == Severity::fatal) fatal_ = true;
  return ++counts_[id].all;
}

void Report::mark_repaired(const Place& place) noexcept {
  ++counts_[place.id].repaired;
  if (place.is_kept) findings_[place.index].repaired = true;
}

void Report::mark_repaired(const Report& after) {
  const auto is_gone = [&after](FindingId id) { return is_made(kind_of(id).repair) && !after.has(id); };
  for (auto& [id, counts] : counts_) {
    if (is_gone(id)) counts.repaired = counts.all;
  }
  for (Finding& finding : findings_) finding.repaired = finding.repaired || is_gone(finding.id);
  take_new(after);
  inodes = after.inodes;
  directories = after.directories;
  nodes = after.nodes;
  blocks_used = after.blocks_used;
  block_count = after.block_count;
}

void Report::take_new(const Report& after) {
  const auto is_new = [this](FindingId id) { return kind_of(id).severity != Severity::note && !has(id); };
  for (const Finding& finding : after.findings_) {
    if (is_new(finding.id)) findings_.push_back(finding);
  }
  for (const auto& [id, counts] : after.counts_) {
    if (!is_new(id)) continue;
    counts_[id] = counts;
    total_ += counts.all;
    wrong_ += counts.all;
  }
}

std::uint64_t Report::repaired() const noexcept {
  std::uint64_t sum = 0;
  for (const auto& [id, counts] : counts_) sum += counts.repaired;
  return sum;
}

bool Report::takes(Repair repair) const noexcept {
  return std::any_of(counts_.begin(), counts_.end(),
                     [repair](const auto& counted) { return kind_of(counted.first).repair == repair; });
}

bool Report::has(FindingId id) const noexcept { return counts_.contains(id); }

std::vector<FindingId> Report::ids() const {
  std::vector<FindingId> all;
  for (const auto& [id, counts] : counts_) all.push_back(id);
  return all;
}

std::set<std::uint64_t> Report::inodes_found() const {
  std::set<std::uint64_t> found;
  for (const Finding& finding : findings_) {
    if (finding.inode != 0 && found.size() < kMaxPaths) found.insert(finding.inode);
  }
  return found;
}

const std::string* Report::path_of(const Finding& finding) const noexcept {
  const auto found = paths_.find(finding.inode);
  return found == paths_.end() ? nullptr : &found->second;
}

}  // namespace ashlar::fsck
