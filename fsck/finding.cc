#include "fsck/finding.h"

#include <algorithm>
#include <array>

namespace ashlar::fsck {
namespace {

constexpr std::array kKinds = {
#define FINDING(id, name, severity, repair, message) \
  FindingKind{FindingId::name, #name, Severity::severity, Repair::repair, message},
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
  return ++counts_[id];
}

void Report::mark_last_repaired() noexcept {
  ++repaired_;
  if (last_is_kept_) findings_.back().repaired = true;
}

void Report::mark_repaired(const Report& after) noexcept {
  const auto is_gone = [&after](FindingId id) {
    const Repair repair = kind_of(id).repair;
    return (repair == Repair::recount || repair == Repair::rebuild) && !after.has(id);
  };
  for (const auto& [id, count] : counts_) {
    if (is_gone(id)) repaired_ += count;
  }
  for (Finding& finding : findings_) finding.repaired = finding.repaired || is_gone(finding.id);
}

bool Report::takes(Repair repair) const noexcept {
  return std::any_of(counts_.begin(), counts_.end(),
                     [repair](const auto& counted) { return kind_of(counted.first).repair == repair; });
}

bool Report::has(FindingId id) const noexcept { return counts_.contains(id); }

}  // namespace ashlar::fsck
