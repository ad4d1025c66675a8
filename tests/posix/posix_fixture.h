// The fixture of the conformance suite, and short ways of saying what a call should do.
//
// References in the tests: a name with a section is a manual page ("rename(2)"), "XSH name" is the function's page in
// the System Interfaces volume of POSIX.1-2017, "XBD 4.9" a clause of its Base Definitions.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/posix/errno_of.h"
#include "tests/posix/filesystem.h"

namespace ashlar::posix_test {

// Where AshlarFS may differ from ext4, each with its reason.
enum class Deviation {
  // Unless mounted with relatime or strictatime, reading does not change access times, as with noatime: the kernel
  // keeps none for FUSE filesystems, so each opening of a file would cost a request.
  reading_keeps_access_time,
  // With strictatime, only what is read first through a descriptor counts: the daemon does not see reads from the page
  // cache, which it can empty when a file is opened.
  cached_reads_keep_access_time,
  // truncate(2) by name to the size that a file has already changes no times: so XSH truncate has it, and the kernel,
  // which keeps the times of files with write-back caching.
  truncating_to_the_same_size,
  // An immutable file can be opened to write: the kernel opens files without asking the daemon, which refuses what is
  // written, at fsync(2) and close(2) at the latest. Nor are writers of append-only files held to O_APPEND, or
  // kept from mapping them.
  immutable_shows_at_close,
  // Where a flag of the file and something else forbid an operation, the error is that of the other: the kernel, which
  // checks permissions and arguments, does not know of the flags.
  flags_come_last,
  // Of FUSE filesystems the kernel refuses some arguments whatever the daemon thinks of them: collapsing and inserting
  // ranges, FIEMAP, transfers past the page cache, MAP_SYNC.
  refused_for_fuse,
  // epoll(7) takes regular files: the kernel gives all files of FUSE filesystems a poll function.
  files_can_be_polled,
  // O_DIRECT asks for no alignment.
  direct_transfers_of_any_bytes,
  // Offsets in directories, and their sizes, mean something else.
  directories_have_other_offsets,
  // Inode flags and attributes that are not kept are refused, where ext4 ignores some.
  unknown_flags_are_refused,
  // Inode numbers are not used again, so programs cannot ask for generations; file handles have them.
  no_generations,
  // Changing inode flags moves the change time on the volume, but the kernel shows its own until it forgets the file.
  flags_keep_change_time,
  // Writing to a FIFO changes none of its times: the kernel keeps times of regular files alone.
  pipes_keep_their_times,
  // chown(2) with neither owner nor group leaves S_ISUID and S_ISGID: the kernel does not tell the daemon that it was
  // one.
  chown_to_nobody_keeps_privileges,
  // chattr +C, copy-on-write switched off, is something that ext4 does not have.
  has_no_copy_on_write_flag,
  // The most links a file may have is 2^31 - 1, not 65000.
  more_links,
  // The size of a file may reach 2^63 - 1, not 16 TiB.
  larger_files,
};

// Who makes a call.
struct Caller {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  // supplementary
  // Bits of capabilities(7), all others given up and none gained; nothing: as the user ID has it.
  std::optional<std::uint64_t> capabilities = std::nullopt;
};
inline const Caller kAlice{1001, 2001, {}};
inline const Caller kBob{1002, 2002, {}};

class PosixTest : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override;

  [[nodiscard]] bool deviates(Deviation /*why*/) const { return GetParam() != Kind::ext4; }
  [[nodiscard]] std::string path(const std::string& name) const { return (filesystem_->root() / name).string(); }
  [[nodiscard]] Filesystem& filesystem() { return *filesystem_; }

  // Shorthands that must succeed.
  void make_file(const std::string& name, std::string_view contents = "", mode_t mode = 0644) const;
  void make_directory(const std::string& name, mode_t mode = 0755) const;
  void give_to(const std::string& name, const Caller& owner) const;
  [[nodiscard]] struct stat stat_of(const std::string& name) const;  // of the link itself
  [[nodiscard]] mode_t mode_of(const std::string& name) const { return stat_of(name).st_mode & 07777U; }
  [[nodiscard]] std::string contents_of(const std::string& name) const;
  [[nodiscard]] bool exists(const std::string& name) const;
  [[nodiscard]] std::vector<std::string> names_in(const std::string& directory) const;  // sorted, without . and ..

  // 0 or the errno of opening (and closing) the file.
  [[nodiscard]] int open_errno(const std::string& name, int flags, mode_t mode = 0644) const;
  // 0 or the errno that `call` leaves when `caller` makes it, in a process of its own.
  [[nodiscard]] static int errno_as(const Caller& caller, const std::function<int()>& call);

  // Returns when what happens next is stamped with a later time than what happened before.
  static void let_time_pass();
  // Which times of the file advanced during `action`: some of "amc", in this order. `~` after a letter: went back.
  [[nodiscard]] std::string times_changed(const std::string& name, const std::function<void()>& action) const;

 private:
  std::unique_ptr<Filesystem> filesystem_;
  mode_t old_umask_ = 0;
};

// An open file, closed at the end.
class OpenFile {
 public:
  OpenFile(const std::string& path, int flags, mode_t mode = 0644);
  ~OpenFile();
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

// A block device makes a difference to what is written, synced, and forgotten; names and permissions are spared it.
[[nodiscard]] inline auto ext4_and_an_image() { return testing::Values(Kind::ext4, Kind::ashlarfs); }
[[nodiscard]] inline auto every_filesystem() {
  return testing::Values(Kind::ext4, Kind::ashlarfs, Kind::ashlarfs_device);
}
// What `run`, which is to return true, puts into `count` numbers in a process of its own, whose user may change to and
// fro and whose directory would be in the way of unmounting.
[[nodiscard]] std::vector<std::int64_t> outcomes_in_a_process(std::size_t count,
                                                              const std::function<bool(std::span<std::int64_t>)>& run);
// Waits for child processes, all of which are to exit with 0.
void expect_success(const std::vector<pid_t>& children);
[[nodiscard]] std::string kind_name(const testing::TestParamInfo<Kind>& info);

}  // namespace ashlar::posix_test

#define ASHLAR_POSIX_SUITE(name)    \
  class name : public PosixTest {}; \
  INSTANTIATE_TEST_SUITE_P(Posix, name, every_filesystem(), kind_name)
