// Makes a tree of many files of the sizes that source trees and home directories have, the same one every time: what
// ./dev bench fsck lets each filesystem's checker look at.
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

constexpr std::size_t kFilesPerDirectory = 500;
constexpr std::size_t kDirectoriesPerParent = 100;
constexpr std::size_t kThreads = 2;
constexpr std::size_t kLargestFile = 64U << 10;
// Of a hundred files, those up to so many are ...
constexpr unsigned kEmpty = 3;
constexpr unsigned kTiny = 45;    // to 1.5 KiB
constexpr unsigned kSmall = 90;   // to 8 KiB
constexpr unsigned kMiddle = 99;  // to 16 KiB
// One in so many.
constexpr std::size_t kSymlinkEvery = 50;
constexpr std::size_t kHardLinkEvery = 100;

[[noreturn]] void die(const std::string& what) {
  fmt::print(stderr, "many_files: {}: {}\n", what, std::strerror(errno));
  std::exit(1);
}

std::size_t draw_size(std::mt19937_64& random) {
  const auto below = [&random](std::size_t limit) { return static_cast<std::size_t>(random() % limit); };
  const auto part = static_cast<unsigned>(random() % 100);
  if (part < kEmpty) return 0;
  if (part < kTiny) return 1 + below(1536);
  if (part < kSmall) return 1 + below(8U << 10);
  return 1 + below(part < kMiddle ? 16U << 10 : kLargestFile);
}

void make_file(const std::string& path, std::string_view contents) {
  const int file = open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY, 0644);
  if (file < 0) die(path);
  if (write(file, contents.data(), contents.size()) != static_cast<ssize_t>(contents.size())) die(path);
  close(file);
}

void make_directory(const std::string& directory, std::size_t index, std::size_t files, std::string_view contents) {
  if (mkdir(directory.c_str(), 0755) != 0) die(directory);
  std::mt19937_64 random(index);
  std::string before;
  for (std::size_t i = 0; i < files; ++i) {
    const std::string path = fmt::format("{}/{:06x}-{}.txt", directory, random() & 0xff'ffff, i);
    const bool aside = !before.empty();
    if (aside && i % kSymlinkEvery == 1) {
      if (symlink(before.c_str(), path.c_str()) != 0) die(path);
    } else if (aside && i % kHardLinkEvery == 2) {
      if (link(before.c_str(), path.c_str()) != 0) die(path);
    } else {
      make_file(path, contents.substr(0, draw_size(random)));
      before = path;
    }
  }
}

void run(const std::string& top, std::size_t files) {
  const std::size_t directories = (files + kFilesPerDirectory - 1) / kFilesPerDirectory;
  const auto parent_of = [&top](std::size_t i) { return fmt::format("{}/p{:04}", top, i / kDirectoriesPerParent); };
  for (std::size_t i = 0; i < directories; i += kDirectoriesPerParent) {
    if (mkdir(parent_of(i).c_str(), 0755) != 0) die(parent_of(i));
  }
  const std::string contents(kLargestFile, 'x');
  std::vector<std::thread> threads;
  for (std::size_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (std::size_t i = thread; i < directories; i += kThreads) {
        const std::size_t count = std::min(kFilesPerDirectory, files - i * kFilesPerDirectory);
        make_directory(fmt::format("{}/d{:06}", parent_of(i), i), i, count, contents);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) {
    fmt::print(stderr, "usage: many_files DIRECTORY FILES\n");
    return 2;
  }
  run(arguments[1], static_cast<std::size_t>(std::strtoul(arguments[2], nullptr, 10)));
  return 0;
}
