// Work on many small files, the way programs do it, one phase a run: makes them, looks at them, reads, renames or
// removes them. ./dev bench runs the phases on one filesystem after the other, with what it wants to happen between
// them.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

constexpr std::size_t kFileBytes = 4096;

[[noreturn]] void die(const std::string& what) {
  fmt::print(stderr, "small_files: {}: {}\n", what, std::strerror(errno));
  std::exit(1);
}

class Descriptor {
 public:
  Descriptor(const std::string& path, int flags, mode_t mode = 0) : number_(open(path.c_str(), flags, mode)) {
    if (number_ < 0) die(path);
  }
  ~Descriptor() { close(number_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int number() const noexcept { return number_; }

 private:
  int number_;
};

// The files of one directory. No two threads work in one, so that they meet in the filesystem and not on one lock.
struct Share {
  std::string directory;
  std::size_t files = 0;

  [[nodiscard]] std::string path(std::size_t i) const { return fmt::format("{}/f{:06}", directory, i); }
  [[nodiscard]] std::string renamed(std::size_t i) const { return fmt::format("{}/r{:06}", directory, i); }
};

void create(const Share& share, bool durable) {
  if (mkdir(share.directory.c_str(), 0755) != 0) die(share.directory);
  const std::string contents(kFileBytes, 'x');
  for (std::size_t i = 0; i < share.files; ++i) {
    const Descriptor file(share.path(i), O_CREAT | O_EXCL | O_WRONLY, 0644);
    if (write(file.number(), contents.data(), contents.size()) != static_cast<ssize_t>(contents.size())) die("write");
    if (durable && fsync(file.number()) != 0) die("fsync");
  }
}

void stat_all(const Share& share) {
  struct stat status {};
  for (std::size_t i = 0; i < share.files; ++i) {
    if (stat(share.path(i).c_str(), &status) != 0 || status.st_size != kFileBytes) die(share.path(i));
  }
}

void list(const Share& share) {
  DIR* const stream = opendir(share.directory.c_str());
  if (stream == nullptr) die(share.directory);
  std::size_t names = 0;
  while (readdir(stream) != nullptr) ++names;
  closedir(stream);
  if (names != share.files + 2) die(fmt::format("{}: {} names", share.directory, names));
}

void read_all(const Share& share) {
  std::string contents(kFileBytes, '\0');
  for (std::size_t i = 0; i < share.files; ++i) {
    const Descriptor file(share.path(i), O_RDONLY);
    if (read(file.number(), contents.data(), contents.size()) != static_cast<ssize_t>(contents.size())) die("read");
  }
}

void rename_all(const Share& share) {
  for (std::size_t i = 0; i < share.files; ++i) {
    if (rename(share.path(i).c_str(), share.renamed(i).c_str()) != 0) die("rename");
  }
}

void unlink_all(const Share& share) {
  for (std::size_t i = 0; i < share.files; ++i) {
    if (unlink(share.renamed(i).c_str()) != 0) die("unlink");
  }
  if (rmdir(share.directory.c_str()) != 0) die("rmdir");
}

using Work = void (*)(const Share&);

struct Phase {
  std::string_view name;
  Work work;
};

constexpr std::array kPhases{
    Phase{"create", [](const Share& share) { create(share, false); }},
    Phase{"create-fsync", [](const Share& share) { create(share, true); }},
    Phase{"stat", stat_all},
    Phase{"readdir", list},
    Phase{"read", read_all},
    Phase{"rename", rename_all},
    Phase{"unlink", unlink_all},
};

std::vector<Share> shares_of(const std::string& top, std::size_t files, std::size_t directories) {
  std::vector<Share> shares;
  for (std::size_t i = 0; i < directories; ++i) {
    shares.push_back({fmt::format("{}/{:03}", top, i), files / directories});
  }
  return shares;
}

// Prints the operations of all threads together and the seconds they took.
void measure(const std::vector<Share>& shares, std::size_t thread_count, Work work) {
  const auto began = std::chrono::steady_clock::now();
  std::vector<std::thread> threads;
  for (std::size_t thread = 0; thread < thread_count; ++thread) {
    threads.emplace_back([&shares, thread, thread_count, work] {
      for (std::size_t i = thread; i < shares.size(); i += thread_count) work(shares[i]);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - began;
  fmt::print("{} {:.6f}\n", shares.size() * shares.front().files, taken.count());
}

int usage() {
  fmt::print(stderr, "usage: small_files PHASE DIRECTORY FILES DIRECTORIES THREADS\n");
  return 2;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 6) return usage();
  const std::string_view name = arguments[1];
  const auto* const phase = std::ranges::find(kPhases, name, &Phase::name);
  const auto number = [arguments](int i) { return std::strtoul(arguments[i], nullptr, 10); };
  const std::size_t directories = number(4);
  const std::size_t threads = number(5);
  if (phase == kPhases.end() || directories == 0 || threads == 0) return usage();
  measure(shares_of(arguments[2], number(3), directories), threads, phase->work);
  return 0;
}
