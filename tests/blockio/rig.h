// What every queue, real or double, is tested on: a device of each kind behind one interface.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "blockio/aligned_buffer.h"
#include "blockio/block_device.h"
#include "blockio/faulty_device.h"
#include "blockio/memory_device.h"
#include "blockio/recording_device.h"
#include "tests/mkfs/scratch.h"

namespace ashlar::blockio::testing {

enum class Subject : std::uint8_t {
  io_uring,
  aio,
  memory,
  recording,
  faulty,         // without a plan
  faulty_memory,  // some operations complete later than they would
  faulty_file,    // the same over io_uring
};

inline constexpr std::uint64_t kDeviceSize = 16U << 20;
inline constexpr std::size_t kBlock = 4096;  // what most operations of the tests are long

[[nodiscard]] inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

[[nodiscard]] std::string name_of(Subject subject);
[[nodiscard]] bool is_real(Subject subject);

struct RigOptions {
  bool read_only = false;
  std::uint64_t window_offset = 0;  // of a real device; the doubles have none
};

// A device full of zeros, kDeviceSize long. Test failures say when it cannot be had.
class Rig {
 public:
  explicit Rig(Subject subject, const RigOptions& options = {});

  [[nodiscard]] BlockDevice& device() { return *device_; }
  [[nodiscard]] std::unique_ptr<IoQueue> queue(QueueConfig config = {});
  [[nodiscard]] std::string image() const { return scratch_.file("image"); }  // of a real device

 private:
  [[nodiscard]] std::unique_ptr<BlockDevice> open_file(const RigOptions& options);
  void make_faulty(FaultPlan plan);

  Subject subject_;
  ashlar::testing::Scratch scratch_;
  std::unique_ptr<BlockDevice> inner_;  // below a double that wraps one; null when it cannot be had
  std::unique_ptr<BlockDevice> device_;
};

class OnEveryDevice : public ::testing::TestWithParam<Subject> {
 protected:
  Rig rig{GetParam()};
};

// `size` bytes that tell where they were meant to go: every 8 bytes hold `seed` mixed with their place.
[[nodiscard]] AlignedBuffer pattern(std::size_t size, std::uint64_t seed);
[[nodiscard]] bool same(std::span<const std::byte> a, std::span<const std::byte> b);

// Pointers to each, as submit() wants them.
[[nodiscard]] std::vector<IoOp*> pointers_to(std::vector<IoOp>& ops);

inline std::string subject_name(const ::testing::TestParamInfo<Subject>& info) { return name_of(info.param); }

inline auto every_subject() {
  return ::testing::Values(Subject::io_uring, Subject::aio, Subject::memory, Subject::recording, Subject::faulty,
                           Subject::faulty_memory, Subject::faulty_file);
}
inline auto real_subjects() { return ::testing::Values(Subject::io_uring, Subject::aio); }

}  // namespace ashlar::blockio::testing
