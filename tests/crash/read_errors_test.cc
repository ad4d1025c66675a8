// Devices that fail to read, and real ones under a device that fails: an error is told, never wrong contents, and what
// was promised is there afterwards.
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <set>
#include <sstream>

#include "blockio/faulty_device.h"
#include "blockio/file_device.h"
#include "tests/crash/budget.h"
#include "tests/crash/checker.h"
#include "tests/crash/faults.h"
#include "tests/crash/workloads.h"
#include "tests/mkfs/scratch.h"

namespace ashlar::crash_test {
namespace {

// Lines of what a volume shows that are neither the model's nor an error.
std::string lies(const std::string& shown, const std::string& expected) {
  std::set<std::string> right;
  std::istringstream model(expected);
  for (std::string line; std::getline(model, line);) right.insert(line);
  std::string wrong;
  bool errors = false;
  std::size_t lines = 0;
  std::istringstream text(shown);
  for (std::string line; std::getline(text, line); ++lines) {
    const bool error = line.find(Error(ErrorCode::io_error).message()) != std::string::npos;
    errors = errors || error;
    if (!error && !right.contains(line)) wrong += line + "\n";
  }
  if (!errors && lines != right.size()) wrong += "names are missing\n";
  return wrong;
}

// Looks at everything: lists, reads, asks for attributes.
void look(Session& session) {
  Viewer viewer;
  const std::string shown = plain(viewer.look_at(session.volume(), session.context()));
  EXPECT_EQ(lies(shown, plain(session.root())), "");
}

void prefill(Session& s) {
  s.mkdir("old");
  for (unsigned i = 0; i < 12; ++i) {
    const std::string name = "old/f" + std::to_string(i);
    s.create(name);
    s.write(name, 0, 400 + i * 3000);
    s.set_xattr(name, "user.x", 50 + i * 150);
  }
}

void reading_and_writing(Session& s) {
  look(s);
  for (unsigned i = 0; i < 24; ++i) {
    random_operation(s);
    s.write("old/f" + std::to_string(s.below(12)), s.below(30'000), 1 + s.below(2000));
    if (i % 8 == 7) look(s);
    if (i % 9 == 8) s.sync_all();
    if (i == 15) s.checkpoint();
  }
  look(s);
}

TEST(ReadErrorTest, AtEveryReadOnceAndForGood) {
  constexpr std::uint64_t kStride = kSanitized ? 31 : 3;
  const std::uint64_t seed = first_seed();
  std::uint64_t operations = 1;
  std::uint64_t noticed = 0;
  std::uint64_t runs = 0;
  for (std::uint64_t index = 0; index < operations; index += kStride) {
    SCOPED_TRACE("ASHLAR_CRASH_SEED=" + std::to_string(seed) + ", read " + std::to_string(index));
    blockio::MemoryDevice memory(formatted({16ULL << 20, 512, 2048}));
    blockio::FaultyDevice faulty(memory);
    Session::Options forgetful = fault_options(seed);
    forgetful.volume.store.cache_bytes = 4096;
    Session session(faulty, std::move(forgetful));
    ASSERT_TRUE(session.open());
    prefill(session);
    ASSERT_TRUE(session.close());
    std::uint64_t reads = 0;
    const bool for_good = index % 2 == 1;
    faulty.set_plan([&](const blockio::FaultQuestion& question) {
      if (question.op.kind != blockio::OpKind::read) return blockio::Fault::none;
      const std::uint64_t number = reads++;
      return number == index || (for_good && number > index) ? blockio::Fault::fail : blockio::Fault::none;
    });
    ++runs;
    if (session.open()) {
      reading_and_writing(session);
      faulty.set_plan({});
      noticed += session.failures().empty() ? 0 : 1;
      for (const auto& [what, code] : session.failures()) {
        EXPECT_TRUE(code == ErrorCode::io_error || code == ErrorCode::shut_down || code == ErrorCode::read_only)
            << what;
      }
      look(session);
      session.crash();
    }
    operations = std::max(operations, reads);
    ASSERT_NO_FATAL_FAILURE(expect_promises(memory.snapshot(), session));
    if (HasFailure()) return;
  }
  std::cout << operations << " reads, " << runs << " runs, an operation failed in " << noticed << '\n';
}

// The real engines report errors in ways of their own.
class RealDeviceTest : public ::testing::TestWithParam<blockio::EngineChoice> {};

TEST_P(RealDeviceTest, ErrorsHereAndThere) {
  constexpr std::uint64_t kRuns = kSanitized ? 2 : 6;
  const ashlar::testing::Scratch scratch;
  ASSERT_TRUE(scratch.ready());
  const blockio::MemoryImage image = formatted({});
  std::vector<std::byte> bytes(image.size());
  image.read(0, bytes);
  Session::Options on_engine = fault_options(first_seed());
  on_engine.volume.store.queue.engine = GetParam();
  std::uint64_t operations = 0;
  for (std::uint64_t run = 0; run <= kRuns; ++run) {
    SCOPED_TRACE("run " + std::to_string(run));
    const std::string path = scratch.make_file("image", image.size());
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    auto file = blockio::open_device(path, {});
    ASSERT_TRUE(file) << file.error().message();
    blockio::FaultyDevice faulty(**file);
    // The first run counts.
    const std::uint64_t index = run == 0 ? ~0ULL : operations * run / (kRuns + 1);
    faulty.set_plan(run % 2 == 0 ? blockio::fail_once(index) : blockio::fail_from(index));
    Session session(faulty, on_engine);
    if (session.open()) {
      mixed(session);
      if (run == 0) operations = faulty.operations();
      for (const auto& [what, code] : session.failures()) {
        EXPECT_TRUE(run != 0 &&
                    (code == ErrorCode::io_error || code == ErrorCode::shut_down || code == ErrorCode::read_only))
            << what;
      }
      session.crash();
    }
    const std::string left = ashlar::testing::contents_of(path);
    ASSERT_EQ(left.size(), image.size());
    blockio::MemoryImage after(image.size());
    after.write(0, std::as_bytes(std::span(left)));
    ASSERT_NO_FATAL_FAILURE(expect_promises(after, session));
  }
}

INSTANTIATE_TEST_SUITE_P(Engines, RealDeviceTest,
                         ::testing::Values(blockio::EngineChoice::io_uring, blockio::EngineChoice::aio),
                         [](const ::testing::TestParamInfo<blockio::EngineChoice>& engine) {
                           return engine.param == blockio::EngineChoice::aio ? "aio" : "io_uring";
                         });

}  // namespace
}  // namespace ashlar::crash_test
