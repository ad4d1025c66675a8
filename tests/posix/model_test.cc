// Random sequences of operations by several processes on AshlarFS and on the kernel's ext4: every result, what their
// descriptors are of in the end, and the trees must be the same, also read anew from the device. A sequence that
// differs is shortened before it is shown.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "tests/mount/environment.h"
#include "tests/posix/filesystem.h"
#include "tests/posix/model_operations.h"

namespace ashlar::posix_test {
namespace {

namespace fs = std::filesystem;

constexpr int kDefaultSequences = 2000;  // ASHLAR_MODEL_SEQUENCES for more, ASHLAR_MODEL_FIRST for others
constexpr std::size_t kOperations = 24;  // of a sequence
constexpr int kSequencesBetweenMounts = 200;

int number_from(const char* variable, int otherwise) {
  const char* const wanted = std::getenv(variable);
  return wanted != nullptr ? std::atoi(wanted) : otherwise;
}

// All extended attributes, also those that access control lists are.
std::string describe_xattrs(const std::string& path) {
  std::array<char, 4096> names{};
  const ssize_t size = llistxattr(path.c_str(), names.data(), names.size());
  std::vector<std::string> texts;
  for (ssize_t at = 0; at < size;) {
    const std::string name = names.data() + at;
    at += static_cast<ssize_t>(name.size()) + 1;
    std::array<char, 4096> value{};
    const ssize_t length = lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
    const std::string_view bytes(value.data(), static_cast<std::size_t>(std::max<ssize_t>(length, 0)));
    texts.push_back(" " + name + " " + std::to_string(length) + " " +
                    std::to_string(std::hash<std::string_view>()(bytes)));
  }
  std::sort(texts.begin(), texts.end());
  std::string all;
  for (const std::string& text : texts) all += text;
  return all;
}

std::size_t digest_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::hash<std::string>()(std::string(std::istreambuf_iterator<char>(file), {}));
}

// All that can be seen of a tree, in lines.
std::string describe(const fs::path& root) {
  std::vector<std::string> lines;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root)) {
    struct stat status {};
    EXPECT_EQ(lstat(entry.path().c_str(), &status), 0);
    std::ostringstream line;
    line << entry.path().lexically_relative(root).string() << " mode " << std::oct << status.st_mode << std::dec
         << " links " << status.st_nlink << " owner " << status.st_uid << ':' << status.st_gid << " device "
         << status.st_rdev;
    if (!S_ISDIR(status.st_mode)) line << " size " << status.st_size;
    // Writing to a FIFO moves its times on ext4 alone (Deviation::pipes_keep_their_times).
    if (status.st_mtim.tv_sec < 1000 && !S_ISFIFO(status.st_mode)) line << " modified " << status.st_mtim.tv_sec;
    if (S_ISLNK(status.st_mode)) line << " to " << fs::read_symlink(entry.path()).string();
    if (S_ISREG(status.st_mode)) line << " digest " << digest_of(entry.path());
    lines.push_back(line.str() + describe_xattrs(entry.path()));
  }
  std::sort(lines.begin(), lines.end());
  std::string all;
  for (const std::string& line : lines) all += line + "\n";
  return all;
}

class Comparison {
 public:
  Comparison() : expected_(Filesystem::make(Kind::ext4)), actual_(Filesystem::make(Kind::ashlarfs)) {
    open_to_all();
    for (unsigned i = 0; i < Actor::kActors; ++i) actors_.emplace_back(i);
  }

  // Empty, or what differed. `anew`: the trees are compared after both filesystems were mounted again.
  std::string run(const std::vector<Operation>& sequence, bool anew) {
    const std::string name = "/run" + std::to_string(++runs_);
    const std::string left = expected_->root().string() + name;
    const std::string right = actual_->root().string() + name;
    for (const std::string& root : {left, right}) {
      EXPECT_EQ(mkdir(root.c_str(), 0777), 0);
      EXPECT_EQ(chmod(root.c_str(), 0777), 0);
    }
    for (Actor& actor : actors_) actor.begin(left, right);
    std::string difference = run_all(sequence);
    for (Actor& actor : actors_) {
      const Actor::Both held = actor.finish();
      if (difference.empty() && held.expected != held.actual) difference = "what is held open differs";
    }
    if (anew && difference.empty()) mount_again();
    if (difference.empty()) {
      const std::string wanted = describe(left);
      const std::string found = describe(right);
      if (wanted != found) difference = "ext4's tree:\n" + wanted + "here:\n" + found;
    }
    fs::remove_all(left);
    fs::remove_all(right);
    return difference;
  }

  // The same difference (or another) from fewer operations.
  std::vector<Operation> shrink(std::vector<Operation> sequence, bool anew) {
    for (std::size_t i = sequence.size(); i > 0; --i) {
      std::vector<Operation> shorter = sequence;
      shorter.erase(shorter.begin() + static_cast<std::ptrdiff_t>(i - 1));
      if (!run(shorter, anew).empty()) sequence = std::move(shorter);
    }
    return sequence;
  }

 private:
  void open_to_all() {
    for (const auto* filesystem : {expected_.get(), actual_.get()}) {
      fs::permissions(filesystem->root(), fs::perms::all);
      fs::permissions(filesystem->root().parent_path(), fs::perms::owner_all | fs::perms::others_exec);
    }
  }

  void mount_again() {
    expected_->remount("");
    actual_->remount("");
  }

  std::string run_all(const std::vector<Operation>& sequence) {
    for (const Operation& operation : sequence) {
      const auto [wanted, found] = actors_.at(operation.caller).perform(operation);
      if (wanted == found) continue;
      return operation.text() + ": ext4 " + std::to_string(wanted.result) + ", here " + std::to_string(found.result) +
             (wanted.seen == found.seen ? "" : ", and what was read differs");
    }
    return {};
  }

  std::unique_ptr<Filesystem> expected_;
  std::unique_ptr<Filesystem> actual_;
  std::deque<Actor> actors_;
  int runs_ = 0;
};

TEST(ModelTest, RandomSequencesAsOnExt4) {
  ASHLAR_NEEDS_MOUNTING(true);
  const int sequences = number_from("ASHLAR_MODEL_SEQUENCES", kDefaultSequences);
  const int first = number_from("ASHLAR_MODEL_FIRST", 0);
  Comparison comparison;
  for (int i = first; i < first + sequences; ++i) {
    std::mt19937 random(static_cast<unsigned>(i));
    const std::vector<Operation> sequence = random_sequence(random, kOperations);
    const bool anew = i % kSequencesBetweenMounts == kSequencesBetweenMounts - 1;
    if (comparison.run(sequence, anew).empty()) continue;
    const std::vector<Operation> shortest = comparison.shrink(sequence, anew);
    std::string text;
    for (const Operation& operation : shortest) text += operation.text() + "\n";
    FAIL() << "sequence " << i << ":\n" << text << comparison.run(shortest, anew);
  }
}

}  // namespace
}  // namespace ashlar::posix_test
