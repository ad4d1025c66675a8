// Ages a filesystem: makes, overwrites in part, and deletes files of many sizes at random for a while, keeping the
// space they take near a limit. Prints for every interval what it reached, so that the first can be compared with the
// last.
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kSmallest = 4U << 10;
constexpr std::uint64_t kLargest = 16U << 20;
constexpr std::uint64_t kLargestWrite = 256U << 10;
constexpr std::size_t kDirectories = 32;

[[noreturn]] void die(const std::string& what) {
  fmt::print(stderr, "aging: {}: {}\n", what, std::strerror(errno));
  std::exit(1);
}

struct File {
  std::string path;
  std::uint64_t bytes = 0;
};

class Load {
 public:
  Load(std::string top, std::uint64_t limit) : top_(std::move(top)), limit_(limit), contents_(kLargest, 'x') {
    for (std::size_t i = 0; i < kDirectories; ++i) {
      const std::string path = fmt::format("{}/d{:02}", top_, i);
      if (mkdir(path.c_str(), 0755) != 0) die(path);
    }
  }

  // One operation; returns the bytes it wrote.
  std::uint64_t step() {
    if (used_ > limit_) return remove();
    // Three overwrites to two files made, and from then on as many removed.
    if (files_.empty() || below(5) < 2) return create();
    return overwrite();
  }

 private:
  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }

  // As likely between 4 and 8 KiB as between 8 and 16 MiB: most files are small, most bytes are in large ones.
  std::uint64_t draw_size() {
    constexpr int kDoublings = std::bit_width(kLargest / kSmallest) - 1;
    const std::uint64_t lower = kSmallest << below(kDoublings);
    return lower + below(lower);
  }

  void write_part(const std::string& path, int flags, std::uint64_t offset, std::uint64_t bytes) {
    const int file = open(path.c_str(), flags, 0644);
    if (file < 0) die(path);
    if (pwrite(file, contents_.data(), bytes, static_cast<off_t>(offset)) != static_cast<ssize_t>(bytes)) die(path);
    close(file);
  }

  std::uint64_t create() {
    File file{fmt::format("{}/d{:02}/{:08}", top_, below(kDirectories), made_++), draw_size()};
    write_part(file.path, O_CREAT | O_EXCL | O_WRONLY, 0, file.bytes);
    used_ += file.bytes;
    files_.push_back(std::move(file));
    return files_.back().bytes;
  }

  std::uint64_t overwrite() {
    const File& file = files_[below(files_.size())];
    const std::uint64_t bytes = std::min(1 + below(kLargestWrite), file.bytes);
    write_part(file.path, O_WRONLY, below(file.bytes - bytes + 1), bytes);
    return bytes;
  }

  std::uint64_t remove() {
    std::swap(files_[below(files_.size())], files_.back());
    if (unlink(files_.back().path.c_str()) != 0) die(files_.back().path);
    used_ -= files_.back().bytes;
    files_.pop_back();
    return 0;
  }

  std::string top_;
  std::uint64_t limit_;
  std::string contents_;
  std::mt19937_64 random_{1};  // NOLINT(cert-msc*): the same load for every filesystem
  std::vector<File> files_;
  std::uint64_t used_ = 0;
  std::uint64_t made_ = 0;
};

// Lines of: interval, operations a second, MB written a second; each interval ends with everything durable.
void run(const std::string& top, std::uint64_t limit, unsigned seconds, unsigned intervals) {
  Load load(top, limit);
  const int directory = open(top.c_str(), O_RDONLY | O_DIRECTORY);
  if (directory < 0) die(top);
  for (unsigned interval = 0; interval < intervals; ++interval) {
    const auto began = Clock::now();
    const auto ends = began + std::chrono::duration<double>(static_cast<double>(seconds) / intervals);
    std::uint64_t steps = 0;
    std::uint64_t bytes = 0;
    for (; Clock::now() < ends; ++steps) bytes += load.step();
    if (syncfs(directory) != 0) die("syncfs");
    const double taken = std::chrono::duration<double>(Clock::now() - began).count();
    fmt::print("{}\t{:.1f}\t{:.1f}\n", interval, static_cast<double>(steps) / taken,
               static_cast<double>(bytes) / 1e6 / taken);
    std::fflush(stdout);
  }
  close(directory);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 5) {
    fmt::print(stderr, "usage: aging DIRECTORY MIB SECONDS INTERVALS\n");
    return 2;
  }
  const auto number = [arguments](int i) { return std::strtoul(arguments[i], nullptr, 10); };
  run(arguments[1], number(2) << 20, static_cast<unsigned>(number(3)), static_cast<unsigned>(number(4)));
  return 0;
}
