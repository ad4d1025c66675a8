#include "tests/crash/faults.h"

#include <gtest/gtest.h>

#include "tests/crash/checker.h"
#include "tests/crash/workloads.h"

namespace ashlar::crash_test {

void mixed(Session& s) {
  s.mkdir("d");
  s.create("d/f");
  s.write("d/f", 0, 30'000);
  s.sync("d/f");
  s.create("g");
  s.write("g", 0, 700);
  s.set_xattr("g", "user.x", 3000);
  s.rename("g", "d/g");
  s.checkpoint();
  s.mkdir("d0");
  s.mkdir("d1");
  for (unsigned i = 0; i < 90; ++i) {
    random_operation(s);
    if (i % 10 == 9) s.sync_all();
    if (i % 25 == 24) s.checkpoint();
  }
  s.write("d/f", 5000, 9000);
  s.truncate("d/f", 11'000);
  const ModelNodePtr open = s.hold("d/f");
  s.unlink("d/f");
  s.release(open);
  for (unsigned i = 0; i < 40; ++i) random_operation(s);
  s.commit();
  s.unlink("d/g");
  for (unsigned i = 0; i < 20; ++i) random_operation(s);
}

Session::Options fault_options(std::uint64_t seed) {
  Session::Options options;
  options.look = false;
  options.seed = seed;
  return options;
}

void expect_promises(const blockio::MemoryImage& image, const Session& session) {
  Checker checker;
  const Checker::Finding found = checker.examine(image, Care::used);
  ASSERT_EQ(found.problem, "");
  if (session.history().moments.empty()) return;  // it was never mounted
  Checker::Finding known = found;
  known.view = plain(found.view);
  known.digest = digest(known.view);
  const History& history = session.history();
  const auto wrong = Checker::judge(history, history.promised(0), history.moments.size() - 1, known);
  ASSERT_FALSE(wrong) << *wrong;
}

}  // namespace ashlar::crash_test
