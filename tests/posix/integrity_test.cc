// Random reads, writes, mappings and changes of size on files of which every byte is known.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <random>
#include <string>

#include "tests/mount/mounted_volume.h"

namespace ashlar::posix_test {
namespace {

using mount_test::Engine;

constexpr std::size_t kMaxSize = 700'000;
constexpr std::size_t kBlock = 4096;
constexpr std::size_t kMaxTransfer = 150'000;
constexpr int kProcesses = 3;
constexpr int kDefaultSteps = 1500;  // of each process; ASHLAR_INTEGRITY_STEPS for more

int steps() {
  const char* wanted = std::getenv("ASHLAR_INTEGRITY_STEPS");
  return wanted != nullptr ? std::atoi(wanted) : kDefaultSteps;
}

// One process's file and what it must hold. Throws (std::runtime_error) with the step at the first wrong byte.
class Exerciser {
 public:
  Exerciser(std::string path, unsigned seed) : path_(std::move(path)), random_(seed) {
    void* memory = nullptr;
    if (posix_memalign(&memory, kBlock, kMaxSize + kBlock) != 0) throw std::bad_alloc();
    aligned_.reset(static_cast<char*>(memory));
    open_files();
  }
  ~Exerciser() { close_files(); }
  Exerciser(const Exerciser&) = delete;
  Exerciser& operator=(const Exerciser&) = delete;

  void step() {
    ++steps_;
    switch (below(16)) {
      case 0:
      case 1:
      case 2: return write_some();
      case 3:
      case 4: return write_direct();
      case 5: return read_some(false);
      case 6: return read_some(true);
      case 7: return write_mapped();
      case 8: return read_mapped();
      case 9: return resize();
      case 10: return punch();
      case 11: return zero();
      case 12: return preallocate();
      case 13: return copy();
      case 14: return check_seeks();
      default: return below(8) == 0 ? reopen() : sync();
    }
  }
  void verify_all() {
    std::string found(model_.size(), '?');
    demand(pread(buffered_, found.data(), found.size(), 0), found.size(), "read of all");
    compare(found, 0, "all");
    struct stat status {};
    demand(fstat(buffered_, &status), 0, "fstat");
    demand(status.st_size, model_.size(), "size");
  }

 private:
  struct Free {
    void operator()(char* memory) const { free(memory); }
  };

  std::size_t below(std::size_t limit) { return limit == 0 ? 0 : random_() % limit; }
  [[noreturn]] void wrong(const std::string& what) const {
    throw std::runtime_error(path_ + ", step " + std::to_string(steps_) + ": " + what + ", errno " +
                             std::to_string(errno));
  }
  void demand(ssize_t result, std::size_t wanted, const char* what) const {
    if (result != static_cast<ssize_t>(wanted)) wrong(std::string(what) + " returned " + std::to_string(result));
  }
  void compare(std::string_view found, std::size_t offset, const char* what) const {
    const auto wanted = std::string_view(model_).substr(offset, found.size());
    if (found == wanted) return;
    const auto at = std::mismatch(found.begin(), found.end(), wanted.begin()).first - found.begin();
    wrong(std::string(what) + ": wrong byte at " + std::to_string(offset + static_cast<std::size_t>(at)));
  }
  std::string fresh(std::size_t size) {
    std::string data(size, '\0');
    for (char& byte : data) byte = static_cast<char>('A' + random_() % 50);
    return data;
  }
  void put(std::string_view data, std::size_t offset) {
    model_.resize(std::max(model_.size(), offset + data.size()), '\0');
    std::copy(data.begin(), data.end(), model_.begin() + static_cast<std::ptrdiff_t>(offset));
  }

  void open_files() {
    buffered_ = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    direct_ = open(path_.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC);
    if (buffered_ < 0 || direct_ < 0) wrong("open");
  }
  void close_files() const {
    close(buffered_);
    close(direct_);
  }
  void reopen() {
    close_files();
    open_files();
  }
  void sync() { demand(below(2) == 0 ? fsync(buffered_) : fdatasync(buffered_), 0, "fsync"); }

  void write_some() {
    const std::size_t offset = below(kMaxSize - kMaxTransfer);
    const std::string data = fresh(1 + below(below(3) == 0 ? kMaxTransfer : 5000));
    demand(pwrite(buffered_, data.data(), data.size(), static_cast<off_t>(offset)), data.size(), "write");
    put(data, offset);
  }
  void write_direct() {
    const std::size_t offset = below((kMaxSize - kMaxTransfer) / kBlock) * kBlock;
    const std::string data = fresh((1 + below(kMaxTransfer / kBlock)) * kBlock);
    std::copy(data.begin(), data.end(), aligned_.get());
    demand(pwrite(direct_, aligned_.get(), data.size(), static_cast<off_t>(offset)), data.size(), "direct write");
    put(data, offset);
  }
  void read_some(bool direct) {
    const std::size_t unit = direct ? kBlock : 1;
    const std::size_t offset = below(kMaxSize / unit) * unit;
    const std::size_t size = (1 + below(kMaxTransfer / unit)) * unit;
    const ssize_t count =
        pread(direct ? direct_ : buffered_, aligned_.get(), std::min(size, kMaxSize), static_cast<off_t>(offset));
    const std::size_t left = model_.size() > offset ? model_.size() - offset : 0;
    demand(count, std::min({size, left, kMaxSize}), direct ? "direct read" : "read");
    compare({aligned_.get(), static_cast<std::size_t>(count)}, std::min(offset, model_.size()), "read");
  }
  void* map() {
    void* const memory = mmap(nullptr, model_.size(), PROT_READ | PROT_WRITE, MAP_SHARED, buffered_, 0);
    if (memory == MAP_FAILED) wrong("mmap");
    return memory;
  }
  void write_mapped() {
    if (model_.empty()) return;
    const std::size_t offset = below(model_.size());
    const std::string data = fresh(1 + below(std::min(model_.size() - offset, kMaxTransfer)));
    void* const memory = map();
    std::copy(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(std::min(data.size(), model_.size() - offset)),
              static_cast<char*>(memory) + offset);
    if (below(4) == 0) demand(msync(memory, model_.size(), MS_SYNC), 0, "msync");
    demand(munmap(memory, model_.size()), 0, "munmap");
    put(std::string_view(data).substr(0, model_.size() - offset), offset);
  }
  void read_mapped() {
    if (model_.empty()) return;
    void* const memory = map();
    compare({static_cast<const char*>(memory), model_.size()}, 0, "mapping");
    demand(munmap(memory, model_.size()), 0, "munmap");
  }
  void resize() {
    const std::size_t size = below(4) == 0 ? below(3000) : below(kMaxSize);
    demand(ftruncate(buffered_, static_cast<off_t>(size)), 0, "truncate");
    model_.resize(size, '\0');
  }
  void clear(std::size_t offset, std::size_t size) {
    for (std::size_t i = offset; i < std::min(offset + size, model_.size()); ++i) model_[i] = '\0';
  }
  void punch() {
    const std::size_t offset = below(kMaxSize);
    const std::size_t size = 1 + below(kMaxTransfer);
    demand(fallocate(buffered_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                     static_cast<off_t>(size)),
           0, "punch");
    clear(offset, size);
  }
  void zero() {
    const std::size_t offset = below(kMaxSize - kMaxTransfer);
    const std::size_t size = 1 + below(kMaxTransfer);
    const bool keep = below(2) == 0;
    demand(fallocate(buffered_, FALLOC_FL_ZERO_RANGE | (keep ? FALLOC_FL_KEEP_SIZE : 0), static_cast<off_t>(offset),
                     static_cast<off_t>(size)),
           0, "zero range");
    if (!keep) model_.resize(std::max(model_.size(), offset + size), '\0');
    clear(offset, size);
  }
  void preallocate() {
    const std::size_t offset = below(kMaxSize - kMaxTransfer);
    const std::size_t size = 1 + below(kMaxTransfer);
    const bool keep = below(2) == 0;
    demand(fallocate(buffered_, keep ? FALLOC_FL_KEEP_SIZE : 0, static_cast<off_t>(offset), static_cast<off_t>(size)),
           0, "fallocate");
    if (!keep) model_.resize(std::max(model_.size(), offset + size), '\0');
  }
  void copy() {
    if (model_.size() < 2) return;
    auto from = static_cast<off64_t>(below(model_.size() / 2));
    const std::size_t size = 1 + below(model_.size() / 2 - static_cast<std::size_t>(from));
    auto to = static_cast<off64_t>(static_cast<std::size_t>(from) + size + below(1000));
    const auto source = static_cast<std::size_t>(from);
    const auto target = static_cast<std::size_t>(to);
    if (target + size > kMaxSize) return;
    demand(copy_file_range(buffered_, &from, buffered_, &to, size, 0), size, "copy_file_range");
    put(model_.substr(source, size), target);
  }
  // What is called a hole holds zeros, and holes and data take turns up to the end.
  void check_seeks() {
    off_t at = 0;
    const auto end = static_cast<off_t>(model_.size());
    while (at < end) {
      const off_t data = lseek(buffered_, at, SEEK_DATA);
      const off_t stop = data < 0 ? end : data;
      if (data < 0 && errno != ENXIO) wrong("SEEK_DATA");
      if (stop < at || stop > end) wrong("SEEK_DATA out of order");
      const auto hole =
          std::string_view(model_).substr(static_cast<std::size_t>(at), static_cast<std::size_t>(stop - at));
      if (hole.find_first_not_of('\0') != std::string_view::npos) wrong("data in a hole");
      if (stop == end) return;
      at = lseek(buffered_, stop, SEEK_HOLE);
      if (at <= stop || at > end) wrong("SEEK_HOLE out of order");
    }
  }

  const std::string path_;
  std::mt19937 random_;
  std::string model_;
  std::unique_ptr<char, Free> aligned_;
  int buffered_ = -1;
  int direct_ = -1;
  int steps_ = 0;
};

int exercise(const std::string& path, unsigned seed) {
  try {
    Exerciser exerciser(path, seed);
    for (int i = 0; i < steps(); ++i) {
      exerciser.step();
      if (i % 100 == 99) exerciser.verify_all();
    }
    exerciser.verify_all();
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << " (seed " << seed << ")\n";
    return 1;
  }
}

struct Combination {
  Engine engine;
  const char* options;
};

std::string combination_name(const testing::TestParamInfo<Combination>& info) {
  return std::string(name_of(info.param.engine)) + info.param.options;
}

class IntegrityTest : public testing::TestWithParam<Combination> {};

TEST_P(IntegrityTest, EveryByteIsWhereItBelongs) {
  ASHLAR_NEEDS_MOUNTING(false);
  mount_test::MountedVolume volume(mount_test::DeviceKind::image, mount_test::kSmallVolumeBytes);
  ASSERT_TRUE(succeeded(volume.format()));
  ASSERT_TRUE(succeeded(volume.mount(GetParam().engine, GetParam().options)));
  std::vector<pid_t> children;
  for (unsigned i = 0; i < kProcesses; ++i) {
    const pid_t child = fork();
    if (child == 0) _exit(exercise((volume.root() / ("file" + std::to_string(i))).string(), i + 1));
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  ASSERT_TRUE(succeeded(volume.unmount()));
  EXPECT_TRUE(succeeded(volume.check()));
}

INSTANTIATE_TEST_SUITE_P(Posix, IntegrityTest,
                         testing::Values(Combination{Engine::io_uring, ""}, Combination{Engine::aio, ""},
                                         Combination{Engine::io_uring, "nodatacow"}),
                         combination_name);

}  // namespace
}  // namespace ashlar::posix_test
