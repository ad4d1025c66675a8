#include "tests/posix/exerciser.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <new>
#include <stdexcept>
#include <utility>

namespace ashlar::posix_test {
namespace {

constexpr std::size_t kMaxSize = 700'000;
constexpr std::size_t kMaxTransfer = 150'000;

off_t position(std::size_t offset) { return static_cast<off_t>(offset); }

}  // namespace

DirectMemory direct_memory(std::size_t bytes) {
  void* memory = nullptr;
  if (posix_memalign(&memory, kBlock, bytes) != 0) throw std::bad_alloc();
  return DirectMemory(static_cast<char*>(memory));
}

ExercisedFile::ExercisedFile(std::string path) : path_(std::move(path)) { open_both(); }
ExercisedFile::~ExercisedFile() { close_both(); }

void ExercisedFile::reopen() {
  close_both();
  open_both();
}

void ExercisedFile::open_both() {
  buffered_ = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  direct_ = open(path_.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC);
  if (buffered_ < 0 || direct_ < 0) throw std::runtime_error("cannot open " + path_);
}

void ExercisedFile::close_both() const {
  close(buffered_);
  close(direct_);
}

std::string Exercise::fresh(std::size_t size) {
  std::string data(size, '\0');
  for (char& byte : data) byte = static_cast<char>('A' + random_() % 50);
  return data;
}

void Exercise::wrong(const std::string& what) const {
  throw std::runtime_error(path_ + ", step " + std::to_string(steps_) + ": " + what + ", errno " +
                           std::to_string(errno));
}

void Exercise::demand(ssize_t result, std::size_t wanted, const char* what) const {
  if (result != static_cast<ssize_t>(wanted)) wrong(std::string(what) + " returned " + std::to_string(result));
}

void Exercise::compare(std::string_view found, std::string_view wanted, std::size_t offset, const char* what) const {
  if (found == wanted) return;
  if (found.size() != wanted.size()) wrong(std::string(what) + ": " + std::to_string(found.size()) + " bytes");
  const auto at = std::mismatch(found.begin(), found.end(), wanted.begin()).first - found.begin();
  wrong(std::string(what) + ": wrong byte at " + std::to_string(offset + static_cast<std::size_t>(at)));
}

Exerciser::Exerciser(const std::string& path, unsigned seed)
    : Exercise(seed),
      files_{Known(path + ".a"), Known(path + ".b")},
      at_(&files_[0]),
      aligned_(direct_memory(kMaxSize + kBlock)) {}

void Exerciser::step() {
  at_ = &files_[below(2)];
  next_step(at_->file.path());
  switch (below(17)) {
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
    case 13: return copy_within();
    case 14: return copy_across();
    case 15: return check_seeks();
    default:
      if (below(8) == 0) return at_->file.reopen();
      return demand(below(2) == 0 ? fsync(at_->file.buffered()) : fdatasync(at_->file.buffered()), 0, "fsync");
  }
}

void Exerciser::verify_all() {
  for (Known& known : files_) {
    at_ = &known;
    verify();
  }
}

void Exerciser::verify() {
  std::string found(at_->model.size(), '?');
  demand(pread(at_->file.buffered(), found.data(), found.size(), 0), found.size(), "read of all");
  compare(found, at_->model, 0, "all");
  struct stat status {};
  demand(fstat(at_->file.buffered(), &status), 0, "fstat");
  demand(status.st_size, at_->model.size(), "size");
}

void Exerciser::save_models(const std::string& path) const {
  std::ofstream(path + ".a") << files_[0].model;
  std::ofstream(path + ".b") << files_[1].model;
}

void Exerciser::put(std::string_view data, std::size_t offset) {
  at_->model.resize(std::max(at_->model.size(), offset + data.size()), '\0');
  std::copy(data.begin(), data.end(), at_->model.begin() + static_cast<std::ptrdiff_t>(offset));
}

void Exerciser::clear(std::size_t offset, std::size_t size) {
  for (std::size_t i = offset; i < std::min(offset + size, at_->model.size()); ++i) at_->model[i] = '\0';
}

void Exerciser::write_some() {
  const std::size_t offset = below(kMaxSize - kMaxTransfer);
  const std::string data = fresh(1 + below(below(3) == 0 ? kMaxTransfer : 5000));
  demand(pwrite(at_->file.buffered(), data.data(), data.size(), position(offset)), data.size(), "write");
  put(data, offset);
}

void Exerciser::write_direct() {
  const std::size_t offset = below((kMaxSize - kMaxTransfer) / kBlock) * kBlock;
  const std::string data = fresh((1 + below(kMaxTransfer / kBlock)) * kBlock);
  std::copy(data.begin(), data.end(), aligned_.get());
  demand(pwrite(at_->file.direct(), aligned_.get(), data.size(), position(offset)), data.size(), "direct write");
  put(data, offset);
}

void Exerciser::read_some(bool direct) {
  const std::string& model = at_->model;
  const std::size_t unit = direct ? kBlock : 1;
  const std::size_t offset = below(kMaxSize / unit) * unit;
  const std::size_t size = std::min((1 + below(kMaxTransfer / unit)) * unit, kMaxSize);
  const int file = direct ? at_->file.direct() : at_->file.buffered();
  const ssize_t count = pread(file, aligned_.get(), size, position(offset));
  const std::size_t left = model.size() > offset ? model.size() - offset : 0;
  demand(count, std::min(size, left), direct ? "direct read" : "read");
  const auto wanted = std::string_view(model).substr(std::min(offset, model.size()), static_cast<std::size_t>(count));
  compare({aligned_.get(), static_cast<std::size_t>(count)}, wanted, offset, direct ? "direct read" : "read");
}

void* Exerciser::map() {
  void* const memory = mmap(nullptr, at_->model.size(), PROT_READ | PROT_WRITE, MAP_SHARED, at_->file.buffered(), 0);
  if (memory == MAP_FAILED) wrong("mmap");
  return memory;
}

void Exerciser::write_mapped() {
  const std::size_t size = at_->model.size();
  if (size == 0) return;
  const std::size_t offset = below(size);
  const std::string data = fresh(1 + below(std::min(size - offset, kMaxTransfer)));
  const std::string_view fitting = std::string_view(data).substr(0, size - offset);
  void* const memory = map();
  std::copy(fitting.begin(), fitting.end(), static_cast<char*>(memory) + offset);
  if (below(4) == 0) demand(msync(memory, size, MS_SYNC), 0, "msync");
  demand(munmap(memory, size), 0, "munmap");
  put(fitting, offset);
}

void Exerciser::read_mapped() {
  if (at_->model.empty()) return;
  void* const memory = map();
  compare({static_cast<const char*>(memory), at_->model.size()}, at_->model, 0, "mapping");
  demand(munmap(memory, at_->model.size()), 0, "munmap");
}

void Exerciser::resize() {
  const std::size_t size = below(4) == 0 ? below(3000) : below(kMaxSize);
  demand(ftruncate(at_->file.buffered(), position(size)), 0, "truncate");
  at_->model.resize(size, '\0');
}

void Exerciser::punch() {
  const std::size_t offset = below(kMaxSize);
  const std::size_t size = 1 + below(kMaxTransfer);
  demand(fallocate(at_->file.buffered(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, position(offset), position(size)),
         0, "punch");
  clear(offset, size);
}

void Exerciser::zero() {
  const std::size_t offset = below(kMaxSize - kMaxTransfer);
  const std::size_t size = 1 + below(kMaxTransfer);
  const bool keep = below(2) == 0;
  demand(fallocate(at_->file.buffered(), FALLOC_FL_ZERO_RANGE | (keep ? FALLOC_FL_KEEP_SIZE : 0), position(offset),
                   position(size)),
         0, "zero range");
  if (!keep) at_->model.resize(std::max(at_->model.size(), offset + size), '\0');
  clear(offset, size);
}

void Exerciser::preallocate() {
  const std::size_t offset = below(kMaxSize - kMaxTransfer);
  const std::size_t size = 1 + below(kMaxTransfer);
  const bool keep = below(2) == 0;
  demand(fallocate(at_->file.buffered(), keep ? FALLOC_FL_KEEP_SIZE : 0, position(offset), position(size)), 0,
         "fallocate");
  if (!keep) at_->model.resize(std::max(at_->model.size(), offset + size), '\0');
}

void Exerciser::copy_within() {
  const std::size_t half = at_->model.size() / 2;
  if (half == 0) return;
  auto from = static_cast<off64_t>(below(half));
  const auto source = static_cast<std::size_t>(from);
  const std::size_t size = 1 + below(half - source);
  const std::size_t target = source + size + below(1000);
  if (target + size > kMaxSize) return;
  auto to = static_cast<off64_t>(target);
  const int file = at_->file.buffered();
  demand(copy_file_range(file, &from, file, &to, size, 0), size, "copy within the file");
  put(at_->model.substr(source, size), target);
}

void Exerciser::copy_across() {
  const Known& other = at_ == &files_[0] ? files_[1] : files_[0];
  if (other.model.empty()) return;
  const std::size_t source = below(other.model.size());
  const std::size_t size = 1 + below(std::min(other.model.size() - source, kMaxTransfer));
  const std::size_t target = below(kMaxSize - kMaxTransfer);
  const std::size_t there = std::min(size, other.model.size() - source);
  auto from = static_cast<off64_t>(source);
  auto to = static_cast<off64_t>(target);
  demand(copy_file_range(other.file.buffered(), &from, at_->file.buffered(), &to, size, 0), there, "copy of the other");
  put(std::string_view(other.model).substr(source, there), target);
}

// What is called a hole holds zeros, and holes and data take turns up to the end.
void Exerciser::check_seeks() {
  const int file = at_->file.buffered();
  off_t at = 0;
  const off_t end = position(at_->model.size());
  while (at < end) {
    const off_t data = lseek(file, at, SEEK_DATA);
    const off_t stop = data < 0 ? end : data;
    if (data < 0 && errno != ENXIO) wrong("SEEK_DATA");
    if (stop < at || stop > end) wrong("SEEK_DATA out of order");
    const auto hole =
        std::string_view(at_->model).substr(static_cast<std::size_t>(at), static_cast<std::size_t>(stop - at));
    if (hole.find_first_not_of('\0') != std::string_view::npos) wrong("data in a hole");
    if (stop == end) return;
    at = lseek(file, stop, SEEK_HOLE);
    if (at <= stop || at > end) wrong("SEEK_HOLE out of order");
  }
}

SharedExerciser::SharedExerciser(const std::string& path, std::size_t owner, std::size_t owners)
    : Exercise(static_cast<unsigned>(owner + 1)),
      owner_(owner),
      owners_(owners),
      file_(path),
      model_(kStripe * kStripes, '\0'),
      aligned_(direct_memory(kStripe)) {}

void SharedExerciser::step() {
  next_step(file_.path());
  const std::size_t stripe = random_stripe();
  switch (below(8)) {
    case 0:
    case 1: return write_some(stripe);
    case 2: return write_direct(stripe);
    case 3: return write_mapped(stripe);
    case 4: return punch(stripe);
    case 5: return demand(below(4) == 0 ? fdatasync(file_.buffered()) : 0, 0, "fdatasync");
    default: return read_back(stripe);
  }
}

void SharedExerciser::write_some(std::size_t stripe) {
  const std::size_t offset = stripe + below(kStripe);
  const std::string data = fresh(1 + below(stripe + kStripe - offset - 1));
  demand(pwrite(file_.buffered(), data.data(), data.size(), position(offset)), data.size(), "write");
  model_.replace(offset, data.size(), data);
}

void SharedExerciser::write_direct(std::size_t stripe) {
  const std::size_t first = below(kStripe / kBlock);
  const std::string data = fresh((1 + below(kStripe / kBlock - first)) * kBlock);
  const std::size_t offset = stripe + first * kBlock;
  data.copy(aligned_.get(), data.size());
  demand(pwrite(file_.direct(), aligned_.get(), data.size(), position(offset)), data.size(), "direct write");
  model_.replace(offset, data.size(), data);
}

void SharedExerciser::write_mapped(std::size_t stripe) {
  const std::size_t first = below(kStripe);
  const std::string data = fresh(1 + below(kStripe - first - 1));
  void* const memory = mmap(nullptr, kStripe, PROT_READ | PROT_WRITE, MAP_SHARED, file_.buffered(), position(stripe));
  if (memory == MAP_FAILED) wrong("mmap");
  data.copy(static_cast<char*>(memory) + first, data.size());
  if (below(8) == 0) demand(msync(memory, kStripe, MS_SYNC), 0, "msync");
  demand(munmap(memory, kStripe), 0, "munmap");
  model_.replace(stripe + first, data.size(), data);
}

void SharedExerciser::punch(std::size_t stripe) {
  const std::size_t offset = stripe + below(kStripe);
  const std::size_t size = 1 + below(stripe + kStripe - offset - 1);
  const int mode = below(2) == 0 ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE : FALLOC_FL_ZERO_RANGE;
  demand(fallocate(file_.buffered(), mode, position(offset), position(size)), 0, "punch");
  model_.replace(offset, size, size, '\0');
}

void SharedExerciser::read_back(std::size_t stripe) {
  const auto wanted = std::string_view(model_).substr(stripe, kStripe);
  const bool direct = below(2) == 0;
  demand(pread(direct ? file_.direct() : file_.buffered(), aligned_.get(), kStripe, position(stripe)), kStripe, "read");
  compare({aligned_.get(), kStripe}, wanted, stripe, direct ? "direct read" : "read");
}

void SharedExerciser::verify_all() {
  for (std::size_t stripe = owner_ * kStripe; stripe < model_.size(); stripe += owners_ * kStripe) read_back(stripe);
}

}  // namespace ashlar::posix_test
