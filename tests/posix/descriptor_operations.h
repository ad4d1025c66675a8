// Operations on descriptors, with good and with bad arguments, for the comparison of what they answer.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace ashlar::posix_test {

// What the operations have at hand besides the descriptor that they are tried on.
struct Surroundings {
  static constexpr std::size_t kBufferBytes = 128U << 10;

  int file = -1;       // regular, to read and write
  int reader = -1;     // the same file, to read
  int appender = -1;   // the same file, to append
  int directory = -1;  // which holds all of these, and is the current one
  int memory = -1;     // to read and write, on another filesystem
  int null = -1;       // a device that takes everything
  int epoll = -1;
  std::array<int, 2> pipe = {-1, -1};
  alignas(4096) std::array<char, kBufferBytes> buffer{};

  // In the current directory. Throws when something cannot be made.
  void open_all();
};

struct DescriptorOperation {
  std::string name;
  // As a system call answers: -1 and errno, or a number that is the same wherever all went well.
  std::function<std::int64_t(int)> call;
  // Whether the next operation would meet another file, or another state of the descriptor than its offset, after this
  // one succeeded.
  bool changes = true;
  bool owner_may_differ = false;  // from root and from others
};

// Bytes in each regular file that the operations are tried on, and in that of the surroundings.
constexpr std::int64_t kFileBytes = 10'000;
// What each of these files has: an attribute for everybody, and one for root.
constexpr const char* kAttribute = "user.have";
constexpr const char* kRootsAttribute = "trusted.have";

// What calls have in common.
constexpr off_t kMost = std::numeric_limits<off_t>::max();
constexpr off_t kBeyondExt4 = 1LL << 45;  // more than a file may have there
constexpr rlim_t kLimit = 20'000;         // to the size of files, where one is set
constexpr off_t kBeyondLimit = 30'000;
[[nodiscard]] char* bad_address();  // known to the kernel alone: compilers refuse what they see
// Makes the call with that limit, the signal of which is to be ignored.
[[nodiscard]] std::int64_t limited(const std::function<std::int64_t()>& call);

class OperationTable {
 public:
  using Call = std::function<std::int64_t(int)>;

  explicit OperationTable(Surroundings& with) : with_(with) {}

  void asks(std::string name, Call call) {
    all_.push_back({std::move(name), std::move(call), false, owner_may_differ_});
  }
  void changes(std::string name, Call call) {
    all_.push_back({std::move(name), std::move(call), true, owner_may_differ_});
  }
  void begin_what_owners_may() { owner_may_differ_ = true; }
  [[nodiscard]] Surroundings& with() const { return with_; }
  [[nodiscard]] std::vector<DescriptorOperation> take() { return std::move(all_); }

 private:
  Surroundings& with_;
  bool owner_may_differ_ = false;  // of what is added next
  std::vector<DescriptorOperation> all_;
};

void add_contents_operations(OperationTable& table);
void add_sharing_operations(OperationTable& table);
void add_attribute_operations(OperationTable& table);

// `with` must outlive the operations; it may be filled after this.
[[nodiscard]] std::vector<DescriptorOperation> descriptor_operations(Surroundings& with);

}  // namespace ashlar::posix_test
