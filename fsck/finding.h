// What a check found, as data: an id that stays, a severity, and the numbers that go with it.
#pragma once

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
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
#define FINDING(id, name, severity, repair, about, message, question) name = id,
#include "fsck/findings.def"
#undef FINDING
};

struct FindingKind {
  FindingId id;
  std::string_view name;
  Severity severity;
  Repair repair;
  std::size_t about;  // which number of the message is an inode's, from 1; 0: none
  std::string_view message;
  std::string_view question;  // to be asked before the repair; empty when there is none to be made
};
[[nodiscard]] const FindingKind& kind_of(FindingId id) noexcept;
[[nodiscard]] std::string_view name_of(Severity severity) noexcept;
[[nodiscard]] std::string_view name_of(Repair repair) noexcept;

struct Finding {
  FindingId id{};
  std::string text;
  std::uint64_t inode = 0;  // that it is about; 0: none
  bool repaired = false;
};

// What a repair could not save, by inode.
using GivenUp = std::map<std::uint64_t, std::string>;

// Of one volume.
class Report {
 public:
  // Findings of one id that are kept with their text; more are only counted.
  static constexpr std::size_t kMaxFindingsKept = 1000;
  // Inodes of which the path is told.
  static constexpr std::size_t kMaxPaths = 1000;

  // Where a finding is, for mark_repaired().
  struct Place {
    FindingId id{};
    std::size_t index = 0;
    bool is_kept = false;
  };

  template <typename... Args>
  void add(FindingId id, const Args&... args) {
    last_ = {id, findings_.size(), count(id) <= kMaxFindingsKept};
    if (!last_.is_kept) return;
    const FindingKind& kind = kind_of(id);
    const std::array<std::uint64_t, sizeof...(args) + 1> numbers{0, number_of(args)...};
    const std::uint64_t inode = kind.about < numbers.size() ? numbers[kind.about] : 0;
    findings_.push_back({id, fmt::format(fmt::runtime(kind.message), args...), inode});
  }
  // Of the finding added last.
  [[nodiscard]] const Place& last() const noexcept { return last_; }
  // That finding, and no other, has been put right.
  void mark_repaired(const Place& place) noexcept;
  // The volume was repaired, and a check after that says `after`: all that it does not say any more is right now, what
  // it says for the first time, as it could not be looked for before, is wrong, and the summary is of the volume as it
  // is now.
  void mark_repaired(const Report& after);

  [[nodiscard]] const std::vector<Finding>& findings() const noexcept { return findings_; }
  [[nodiscard]] std::uint64_t total() const noexcept { return total_; }
  [[nodiscard]] bool has(FindingId id) const noexcept;
  // The ids of all findings, ascending.
  [[nodiscard]] std::vector<FindingId> ids() const;
  [[nodiscard]] bool is_clean() const noexcept { return wrong_ == 0; }              // notes do not count
  [[nodiscard]] bool is_repaired() const noexcept { return wrong_ == repaired(); }  // all that was wrong is right now
  [[nodiscard]] bool is_fatal() const noexcept { return fatal_; }
  // Whether one of the findings takes that repair.
  [[nodiscard]] bool takes(Repair repair) const noexcept;

  // Inodes that the findings are about, kMaxPaths at most.
  [[nodiscard]] std::set<std::uint64_t> inodes_found() const;
  // From the root, as far as names lead to it; null when nothing is known. Names are any bytes.
  [[nodiscard]] const std::string* path_of(const Finding& finding) const noexcept;
  void set_path(std::uint64_t inode, std::string path) { paths_[inode] = std::move(path); }
  void take_paths(const Report& other) { paths_.insert(other.paths_.begin(), other.paths_.end()); }

  // Of the volume, for the summary line.
  std::uint64_t inodes = 0;
  std::uint64_t directories = 0;
  std::uint64_t nodes = 0;
  std::uint64_t blocks_used = 0;
  std::uint64_t block_count = 0;
  bool has_error_mark = false;  // of a daemon that had to stop
  std::string stop_reason;      // as it told it, printable; empty when it did not

 private:
  struct Counts {
    std::uint64_t all = 0;
    std::uint64_t repaired = 0;
  };

  template <typename T>
  static constexpr std::uint64_t number_of([[maybe_unused]] const T& value) {
    if constexpr (std::is_integral_v<T>) {
      return static_cast<std::uint64_t>(value);
    } else {
      return 0;
    }
  }
  std::uint64_t count(FindingId id);  // so far, this one included
  void take_new(const Report& after);
  [[nodiscard]] std::uint64_t repaired() const noexcept;

  std::vector<Finding> findings_;
  std::map<FindingId, Counts> counts_;
  std::map<std::uint64_t, std::string> paths_;
  Place last_;
  std::uint64_t total_ = 0;
  std::uint64_t wrong_ = 0;
  bool fatal_ = false;
};

}  // namespace ashlar::fsck
