// What a check found, as data: an id that stays, a severity, and the numbers that go with it.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ashlar::fsck {

enum class Severity : std::uint8_t {
  note,      // nothing is wrong
  healable,  // one of two copies is bad: nothing is lost
  error,     // the volume contradicts itself
  fatal,     // the check cannot go on
};

// What puts it right.
enum class Repair : std::uint8_t {
  none,        // there is nothing to do
  copy,        // the bad copy is written anew from the good one
  recount,     // what can be counted is counted anew; nothing can be lost
  rebuild,     // something must be given up or moved
  impossible,  // nothing that is left tells what it was
};

enum class FindingId : std::uint16_t {
#define FINDING(id, name, severity, repair, message) name = id,
#include "fsck/findings.def"
#undef FINDING
};

struct FindingKind {
  FindingId id;
  std::string_view name;
  Severity severity;
  Repair repair;
  std::string_view message;
};
[[nodiscard]] const FindingKind& kind_of(FindingId id) noexcept;
[[nodiscard]] std::string_view name_of(Severity severity) noexcept;
[[nodiscard]] std::string_view name_of(Repair repair) noexcept;

struct Finding {
  FindingId id{};
  std::string text;
  bool repaired = false;
};

// Of one volume.
class Report {
 public:
  // Findings of one id that are kept with their text; more are only counted.
  static constexpr std::size_t kMaxFindingsKept = 1000;

  template <typename... Args>
  void add(FindingId id, const Args&... args) {
    last_is_kept_ = count(id) <= kMaxFindingsKept;
    if (last_is_kept_) findings_.push_back({id, fmt::format(fmt::runtime(kind_of(id).message), args...)});
  }
  // The finding added last has been put right.
  void mark_last_repaired() noexcept;
  // The volume was repaired, and a check after that says `after`.
  void mark_repaired(const Report& after) noexcept;

  [[nodiscard]] const std::vector<Finding>& findings() const noexcept { return findings_; }
  [[nodiscard]] std::uint64_t total() const noexcept { return total_; }
  [[nodiscard]] bool has(FindingId id) const noexcept;
  [[nodiscard]] bool is_clean() const noexcept { return wrong_ == 0; }             // notes do not count
  [[nodiscard]] bool is_repaired() const noexcept { return wrong_ == repaired_; }  // all that was wrong is right now
  [[nodiscard]] bool is_fatal() const noexcept { return fatal_; }
  // Whether one of the findings takes that repair.
  [[nodiscard]] bool takes(Repair repair) const noexcept;

  // Of the volume, for the summary line.
  std::uint64_t inodes = 0;
  std::uint64_t directories = 0;
  std::uint64_t nodes = 0;
  std::uint64_t blocks_used = 0;
  std::uint64_t block_count = 0;

 private:
  std::uint64_t count(FindingId id);  // so far, this one included

  std::vector<Finding> findings_;
  std::map<FindingId, std::uint64_t> counts_;
  bool last_is_kept_ = false;
  std::uint64_t total_ = 0;
  std::uint64_t wrong_ = 0;
  std::uint64_t repaired_ = 0;
  bool fatal_ = false;
};

}  // namespace ashlar::fsck
