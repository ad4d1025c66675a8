#include "fsck/finding.h"

#include <algorithm>
#include <array>

namespace ashlar::fsck {
namespace {

constexpr std::array kKinds = {
#define FINDING(id, name, severity, message) FindingKind{FindingId::name, #name, Severity::severity, message},
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

bool Report::has(FindingId id) const noexcept { return counts_.contains(id); }

}  // namespace ashlar::fsck
