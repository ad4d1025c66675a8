// Bounded exhaustion: every sequence of one operation and a sample of those of two, on a volume with a few names, each
// followed by a sync of something, then the power goes.
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>

#include <iostream>

#include "tests/crash/budget.h"
#include "tests/crash/checker.h"
#include "tests/crash/recording.h"

namespace ashlar::crash_test {
namespace {

using Operation = std::function<void(Session&)>;

struct Named {
  std::string name;
  Operation run;
};

// Two files with contents (one of them inline), two directories, a link, one name free in each directory.
void prepare(Session& s) {
  s.mkdir("A");
  s.mkdir("B");
  s.create("foo");
  s.write("foo", 0, 20'000);
  s.create("A/bar");
  s.write("A/bar", 0, 300);
  s.link("A/bar", "B/baz");
  s.set_xattr("foo", "user.old", 100);
  s.sync_all();
}

// The vocabulary over those names. A write through a mapping reaches the volume as whole pages, a direct one as whole
// blocks.
std::vector<Named> operations() {
  std::vector<Named> all;
  const auto add = [&all](const std::string& name, Operation run) { all.push_back({name, std::move(run)}); };
  const std::vector<std::string> files = {"foo", "A/bar", "B/baz"};
  const std::vector<std::string> free_names = {"new", "A/foo", "B/foo"};
  for (const std::string& path : free_names) {
    add("create " + path, [path](Session& s) { s.create(path); });
    add("mkdir " + path, [path](Session& s) { s.mkdir(path); });
    add("symlink " + path, [path](Session& s) { s.symlink("A/bar", path); });
    add("mknod " + path, [path](Session& s) { s.create(path, S_IFIFO | 0600); });
    for (const std::string& file : files) {
      add("link " + file + " " + path, [file, path](Session& s) { s.link(file, path); });
      add("rename " + file + " " + path, [file, path](Session& s) { s.rename(file, path); });
    }
    add("rename A " + path, [path](Session& s) { s.rename("A", path); });
    add("tmpfile " + path, [path](Session& s) {
      const ModelNodePtr file = s.make_unnamed("");
      s.write(file, 0, 9000);
      s.link(file, path);
      s.release(file);
    });
  }
  for (const std::string& from : files) {
    for (const std::string& to : files) {
      if (from == to) continue;
      add("rename " + from + " " + to, [from, to](Session& s) { s.rename(from, to); });
      add("exchange " + from + " " + to, [from, to](Session& s) { s.rename(from, to, RENAME_EXCHANGE); });
    }
  }
  add("exchange A B", [](Session& s) { s.rename("A", "B", RENAME_EXCHANGE); });
  add("exchange A foo", [](Session& s) { s.rename("A", "foo", RENAME_EXCHANGE); });
  for (const std::string& file : files) {
    add("unlink " + file, [file](Session& s) { s.unlink(file); });
    add("unlink open " + file, [file](Session& s) {
      static_cast<void>(s.hold(file));
      s.unlink(file);
    });
    add("write " + file, [file](Session& s) { s.write(file, 100, 5000); });
    add("overwrite " + file, [file](Session& s) { s.write(file, 0, 200); });
    add("append " + file, [file](Session& s) { s.append(file, 3000); });
    add("mapped write " + file, [file](Session& s) { s.write(file, 0, 4096, volume::WriteOrigin::page_cache); });
    add("direct write " + file, [file](Session& s) { s.write(file, 8192, 8192, volume::WriteOrigin::caller); });
    add("truncate " + file, [file](Session& s) { s.truncate(file, 50); });
    add("extend " + file, [file](Session& s) { s.truncate(file, 30'000); });
    add("falloc " + file, [file](Session& s) { s.allocate(file, 0, 10'000, 30'000); });
    add("falloc keep " + file, [file](Session& s) { s.allocate(file, FALLOC_FL_KEEP_SIZE, 10'000, 30'000); });
    add("punch " + file,
        [file](Session& s) { s.allocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 50, 9000); });
    add("zero " + file, [file](Session& s) { s.allocate(file, FALLOC_FL_ZERO_RANGE, 100, 9000); });
    add("setxattr " + file, [file](Session& s) { s.set_xattr(file, "user.new", 50); });
    add("big setxattr " + file, [file](Session& s) { s.set_xattr(file, "user.old", 9000); });
    add("removexattr " + file, [file](Session& s) { s.remove_xattr(file, "user.old"); });
    add("chmod " + file, [file](Session& s) { s.chmod(file, 0640); });
  }
  add("rmdir", [](Session& s) {
    s.mkdir("C");
    s.rmdir("C");
  });
  return all;
}

std::vector<Named> syncs() {
  return {{"sync", [](Session& s) { s.sync_all(); }},
          {"commit", [](Session& s) { s.commit(); }},
          {"fsync foo", [](Session& s) { s.sync("foo"); }},
          {"fsync A/bar", [](Session& s) { s.sync("A/bar"); }},
          {"fsync A", [](Session& s) { s.sync("A"); }},
          {"checkpoint", [](Session& s) { s.checkpoint(); }},
          {"fdatasync foo", [](Session& s) { s.sync(s.node("foo"), true); }}};
}

class Exhaustion {
 public:
  // Runs the sequence and looks at every state from its beginning on.
  void check(const std::vector<const Named*>& sequence, const Named& last, std::uint64_t seed) {
    std::string name;
    for (const Named* operation : sequence) name += operation->name + "; ";
    const Workload workload{name, {}, [&](Session& s) {
                              prepare(s);
                              for (const Named* operation : sequence) operation->run(s);
                              last.run(s);
                            }};
    SCOPED_TRACE(name + last.name);
    const Recording recording(workload, seed);
    ASSERT_EQ(recording.problem(), "");
    const auto wrong = checker_.check_run(recording.device, recording.session.history(), seed, kVariants);
    ASSERT_FALSE(wrong) << *wrong;
    ++sequences_;
  }

  ~Exhaustion() { std::cout << sequences_ << " sequences, " << text_of(checker_.tally()) << '\n'; }
  Exhaustion() = default;
  Exhaustion(const Exhaustion&) = delete;
  Exhaustion& operator=(const Exhaustion&) = delete;

 private:
  static constexpr std::size_t kVariants = 4;
  Checker checker_;
  std::uint64_t sequences_ = 0;
};

TEST(ExhaustionTest, EverySequenceOfOneOperation) {
  const std::vector<Named> all = operations();
  const std::vector<Named> ends = syncs();
  ASSERT_GT(all.size(), 90U);
  Exhaustion exhaustion;
  std::size_t end = 0;
  for (const Named& operation : all) {
    for (std::size_t i = 0; i < ends.size(); ++i) {
      if (kSanitized && i != end % ends.size()) continue;
      // The second seed's run leaves data in memory (Session::Options::look).
      for (const std::uint64_t seed : {1U, 2U}) ASSERT_NO_FATAL_FAILURE(exhaustion.check({&operation}, ends[i], seed));
    }
    ++end;
  }
}

TEST(ExhaustionTest, ASampleOfSequencesOfTwo) {
  const std::vector<Named> all = operations();
  const std::vector<Named> ends = syncs();
  const std::uint64_t seed = first_seed();
  std::mt19937_64 random(seed);
  Exhaustion exhaustion;
  const std::uint64_t samples = scaled(1500, 60);
  for (std::uint64_t i = 0; i < samples; ++i) {
    SCOPED_TRACE("ASHLAR_CRASH_SEED=" + std::to_string(seed) + ", sample " + std::to_string(i));
    const Named& first = all[random() % all.size()];
    const Named& second = all[random() % all.size()];
    const Named& between = ends[random() % ends.size()];
    const Named& end = ends[random() % ends.size()];
    std::vector<const Named*> sequence = {&first};
    if (random() % 3 == 0) sequence.push_back(&between);
    sequence.push_back(&second);
    ASSERT_NO_FATAL_FAILURE(exhaustion.check(sequence, end, seed + i % 2));
  }
}

}  // namespace
}  // namespace ashlar::crash_test
