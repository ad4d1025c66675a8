// The operations of the model check, and the processes that carry them out.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace ashlar::posix_test {

enum class Act : unsigned {
  // by name
  create,
  make_directory,
  make_fifo,
  make_symlink,
  link,
  unlink,
  remove_directory,
  rename,
  exchange,
  no_replace,
  whiteout,
  chmod,
  chown,
  truncate,
  write,
  append,
  allocate,
  set_xattr,
  remove_xattr,
  set_list,
  remove_list,
  set_time,
  read,
  list,
  copy,
  write_mapped,
  // on descriptors that a process keeps; their files may have lost all names
  hold,
  hold_unnamed,
  release,
  name_held,
  write_held,
  append_held,
  read_held,
  truncate_held,
  allocate_held,
  chmod_held,
  seek_held,
  count
};

// Fixed in size: it is sent to a process as it is.
struct Operation {
  Act act{};
  std::array<char, 16> first{};  // paths below the root, and the target of a symbolic link
  std::array<char, 16> second{};
  unsigned number = 0;  // whatever else the operation needs to know
  unsigned caller = 0;  // which process carries it out

  [[nodiscard]] std::string text() const;
};

[[nodiscard]] std::vector<Operation> random_sequence(std::mt19937& random, std::size_t length);

// What can be seen of an operation: its result or minus an errno, and a digest of what it read.
struct Outcome {
  std::int64_t result = 0;
  std::uint64_t seen = 0;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

// A process of its own user that does the same on both filesystems when it is told to, and keeps descriptors on both.
class Actor {
 public:
  static constexpr unsigned kActors = 4;  // two of them root
  static constexpr unsigned kHeld = 3;    // descriptors of each process on each filesystem

  // Both outcomes of one operation.
  struct Both {
    Outcome expected;
    Outcome actual;
  };

  explicit Actor(unsigned number);  // forks
  ~Actor();
  Actor(const Actor&) = delete;
  Actor& operator=(const Actor&) = delete;

  // The roots of the next sequence; descriptors of the one before are closed.
  void begin(const std::string& expected, const std::string& actual);
  [[nodiscard]] Both perform(const Operation& operation);
  // What the descriptors are of: type, links, size, owner, contents. Closes them.
  [[nodiscard]] Both finish();

 private:
  struct Message;
  class Process;
  [[nodiscard]] Both ask(const Message& message);

  int socket_ = -1;
  pid_t process_ = -1;
};

}  // namespace ashlar::posix_test
