// Random reads, writes, mappings and changes of size on files of which every byte is known.
#pragma once

#include <array>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <string_view>

namespace ashlar::posix_test {

inline constexpr std::size_t kBlock = 4096;

// Memory that O_DIRECT takes.
struct FreeMemory {
  void operator()(char* memory) const { std::free(memory); }
};
using DirectMemory = std::unique_ptr<char, FreeMemory>;
[[nodiscard]] DirectMemory direct_memory(std::size_t bytes);

// One file, open through the page cache and around it.
class ExercisedFile {
 public:
  explicit ExercisedFile(std::string path);
  ~ExercisedFile();
  ExercisedFile(const ExercisedFile&) = delete;
  ExercisedFile& operator=(const ExercisedFile&) = delete;

  void reopen();
  [[nodiscard]] int buffered() const { return buffered_; }
  [[nodiscard]] int direct() const { return direct_; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  void open_both();
  void close_both() const;

  const std::string path_;
  int buffered_ = -1;
  int direct_ = -1;
};

// What every exerciser has: its random numbers and its complaints. Functions throw std::runtime_error, naming file and
// step, at the first wrong byte or result.
class Exercise {
 public:
  explicit Exercise(unsigned seed) : random_(seed) {}

 protected:
  [[nodiscard]] std::size_t below(std::size_t limit) { return limit == 0 ? 0 : random_() % limit; }
  [[nodiscard]] std::string fresh(std::size_t size);
  void next_step(const std::string& path) {
    path_ = path;
    ++steps_;
  }
  [[noreturn]] void wrong(const std::string& what) const;
  void demand(ssize_t result, std::size_t wanted, const char* what) const;
  void compare(std::string_view found, std::string_view wanted, std::size_t offset, const char* what) const;

 private:
  std::mt19937 random_;
  std::string path_;
  int steps_ = 0;
};

// Two files of one process, which copies between them, too.
class Exerciser : public Exercise {
 public:
  Exerciser(const std::string& path, unsigned seed);

  void step();
  void verify_all();
  // What the files must hold, to files beside.
  void save_models(const std::string& path) const;

 private:
  struct Known {
    explicit Known(const std::string& path) : file(path) {}
    ExercisedFile file;
    std::string model;
  };

  void put(std::string_view data, std::size_t offset);
  void clear(std::size_t offset, std::size_t size);
  void write_some();
  void write_direct();
  void read_some(bool direct);
  [[nodiscard]] void* map();
  void write_mapped();
  void read_mapped();
  void resize();
  void punch();
  void zero();
  void preallocate();
  void copy_within();
  void copy_across();
  void check_seeks();
  void verify();

  std::array<Known, 2> files_;
  Known* at_;  // the file of this step
  DirectMemory aligned_;
};

// One of several processes that share a file of fixed size: the pages of each stripe belong to one of them.
class SharedExerciser : public Exercise {
 public:
  static constexpr std::size_t kStripe = 3 * kBlock;
  static constexpr std::size_t kStripes = 60;

  // The file exists, all zeros. `owner` of `owners`, from 0.
  SharedExerciser(const std::string& path, std::size_t owner, std::size_t owners);

  void step();
  void verify_all();
  // The bytes of its stripes, the rest zeros.
  [[nodiscard]] const std::string& model() const { return model_; }

 private:
  [[nodiscard]] std::size_t random_stripe() { return (below(kStripes / owners_) * owners_ + owner_) * kStripe; }
  void write_some(std::size_t stripe);
  void write_direct(std::size_t stripe);
  void write_mapped(std::size_t stripe);
  void read_back(std::size_t stripe);
  void punch(std::size_t stripe);

  const std::size_t owner_;
  const std::size_t owners_;
  ExercisedFile file_;
  std::string model_;
  DirectMemory aligned_;
};

}  // namespace ashlar::posix_test
