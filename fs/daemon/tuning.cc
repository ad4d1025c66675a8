#include "fs/daemon/tuning.h"

#include <fmt/core.h>
#include <malloc.h>
#include <sys/prctl.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "fs/base/log.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

namespace ashlar::daemon {
namespace {

constexpr int kLargeBytes = 128 << 10;

void write_setting(const std::string& path, const char* value) {
  std::ofstream file(path);
  file << value << std::flush;
  if (!file) log(LogLevel::debug, "{} stays as it is", path);
}

}  // namespace

void give_back_large_memory() {
  // Set once, it is not adapted to what is freed.
  if (mallopt(M_MMAP_THRESHOLD, kLargeBytes) == 0) log(LogLevel::debug, "the allocator's thresholds stay adaptive");
}

void protect_from_reclaim() {
  if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) != 0) log(LogLevel::debug, "PR_SET_IO_FLUSHER: {}", std::strerror(errno));
  write_setting("/proc/self/oom_score_adj", "-900");
}

void tune_backing_device(const std::string& bdi_name) {
  if (bdi_name.empty()) return;
  const std::string base = fmt::format("/sys/class/bdi/{}/", bdi_name);
  // 128 KiB by default: a sequential reader would see a request for each. Four of the largest requests are enough to
  // keep a device busy.
  write_setting(base + "read_ahead_kb", "4096");
  // FUSE mounts may hold 1 % of the dirty pages, strictly, by default: writers would be throttled long before the
  // device is busy. What replaces it is strict as well, so that writing back begins at half of it while a large file is
  // still being written, not at a tenth of the memory. Where memory is too little for so many bytes the ratio stands.
  write_setting(base + "strict_limit", "1");
  write_setting(base + "max_ratio", "50");
  write_setting(base + "max_bytes", "536870912");
}

}  // namespace ashlar::daemon
