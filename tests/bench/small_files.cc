// Work on many small files, the way programs do it: makes them, looks at them, reads, renames and removes them. Prints
// what each thread count and phase reaches; ./dev bench runs it on one filesystem after the other.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
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

// The files a thread works on: a directory of its own, so that threads meet in the filesystem and not on one lock.
struct Share {
  std::string directory;
  std::size_t files = 0;

  [[nodiscard]] std::string path(std::size_t i) const { return fmt::format("{}/f{:06}", directory, i); }
  [[nodiscard]] std::string renamed(std::size_t i) const { return fmt::format("{}/r{:06}", directory, i); }
};

void create(const Share& share, bool durable) {
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
}

void sync_all(const std::string& directory) {
  const Descriptor top(directory, O_RDONLY | O_DIRECTORY);
  if (syncfs(top.number()) != 0) die("syncfs");
}

void drop_caches() {
  const Descriptor control("/proc/sys/vm/drop_caches", O_WRONLY);
  if (write(control.number(), "3", 1) != 1) die("drop_caches");
}

// One line: name, unit, operations of all threads together a second.
void measure(std::string_view name, const std::vector<Share>& shares, const std::function<void(const Share&)>& work) {
  const auto began = std::chrono::steady_clock::now();
  std::vector<std::thread> threads;
  threads.reserve(shares.size());
  for (const Share& share : shares) threads.emplace_back([&share, &work] { work(share); });
  for (std::thread& thread : threads) thread.join();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - began;
  std::size_t files = 0;
  for (const Share& share : shares) files += share.files;
  fmt::print("{}\t/s\t{:.0f}\n", name, static_cast<double>(files) / taken.count());
  std::fflush(stdout);
}

std::vector<Share> make_shares(const std::string& top, std::string_view name, std::size_t threads, std::size_t files) {
  std::vector<Share> shares;
  for (std::size_t i = 0; i < threads; ++i) {
    shares.push_back({fmt::format("{}/{}{}", top, name, i), files / threads});
    if (mkdir(shares.back().directory.c_str(), 0755) != 0) die(shares.back().directory);
  }
  return shares;
}

void run(const std::string& top, std::size_t files) {
  const std::vector<Share> shares = make_shares(top, "many", 2, files);
  measure("create 4 KiB files, 2 threads", shares, [](const Share& share) { create(share, false); });
  sync_all(top);
  stat_all(shares[0]);
  measure("stat, cached", {shares[0]}, stat_all);
  drop_caches();
  measure("readdir, cold", {shares[0]}, list);
  drop_caches();
  measure("stat, cold", {shares[0]}, stat_all);
  drop_caches();
  measure("open and read 4 KiB, cold", {shares[0]}, read_all);
  measure("rename", {shares[0]}, rename_all);
  measure("unlink", {shares[0]}, unlink_all);
  constexpr std::size_t kDurableThreads = 4;
  constexpr std::size_t kDurableShare = 5;  // fsyncs are slow: so much fewer files
  const std::vector<Share> durable = make_shares(top, "durable", kDurableThreads, files / kDurableShare);
  measure("create and fsync, 4 threads", durable, [](const Share& share) { create(share, true); });
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) {
    fmt::print(stderr, "usage: small_files DIRECTORY FILES\n");
    return 2;
  }
  run(arguments[1], static_cast<std::size_t>(std::strtoul(arguments[2], nullptr, 10)));
  return 0;
}
