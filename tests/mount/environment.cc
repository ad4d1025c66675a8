#include "tests/mount/environment.h"

#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <vector>

namespace ashlar::mount_test {
namespace {

bool can_open(const char* path) {
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd >= 0) close(fd);
  return fd >= 0;
}

}  // namespace

std::optional<std::string> missing_for_mounting(bool loop) {
  if (geteuid() != 0) return "needs root";
  if (!can_open("/dev/fuse")) return "needs /dev/fuse";
  if (loop && !can_open("/dev/loop-control")) return "needs loop devices (/dev/loop-control)";
  return std::nullopt;
}

bool skipping_is_failing() {
  const char* ci = std::getenv("CI");
  return ci != nullptr && std::string(ci) == "true";
}

std::string program(const std::string& name) { return std::string(ASHLAR_PROGRAMS) + "/" + name; }

TempDir::TempDir() {
  const char* parent = std::getenv("TMPDIR");
  std::string path = std::string(parent == nullptr ? "/var/tmp" : parent) + "/ashlar-test-XXXXXX";
  if (mkdtemp(path.data()) == nullptr) throw std::runtime_error("cannot make " + path);
  path_ = path;
}

TempDir::~TempDir() {
  std::error_code ignored;  // nothing a destructor could do about it
  std::filesystem::remove_all(path_, ignored);
}

void make_sparse_file(const std::filesystem::path& path, std::uint64_t bytes) {
  { const std::ofstream created(path); }
  std::filesystem::resize_file(path, bytes);
}

std::uint64_t digest_of(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw std::runtime_error("cannot read " + path.string());
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(), XXH3_freeState);
  XXH3_64bits_reset(state.get());
  std::vector<char> buffer(1U << 20);
  while (stream.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || stream.gcount() > 0) {
    XXH3_64bits_update(state.get(), buffer.data(), static_cast<std::size_t>(stream.gcount()));
  }
  return XXH3_64bits_digest(state.get());
}

}  // namespace ashlar::mount_test
