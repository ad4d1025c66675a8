#include "fs/fuse/caller.h"

#include <fmt/core.h>
#include <linux/capability.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ashlar::fuse {
namespace {

// The effective capabilities, as a bit set; nothing when the process cannot be seen.
std::optional<std::uint64_t> effective_capabilities(pid_t process) {
  constexpr std::string_view kLine = "CapEff:\t";
  constexpr int kHexadecimal = 16;
  std::ifstream status(fmt::format("/proc/{}/status", process));
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with(kLine)) continue;
    std::uint64_t capabilities = 0;
    const char* const digits = line.data() + kLine.size();
    const auto [end, error] = std::from_chars(digits, line.data() + line.size(), capabilities, kHexadecimal);
    if (error == std::errc() && end != digits) return capabilities;
    break;
  }
  return std::nullopt;
}

// Root of another one (a container's) has every capability there, and none here.
bool is_in_our_user_namespace(pid_t process) {
  struct stat ours {};
  struct stat theirs {};
  if (stat("/proc/self/ns/user", &ours) != 0) return true;  // a kernel without them
  if (stat(fmt::format("/proc/{}/ns/user", process).c_str(), &theirs) != 0) return false;
  return ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

}  // namespace

bool has_capability(fuse_req_t request, unsigned capability) {
  const fuse_ctx* const caller = fuse_req_ctx(request);
  if (caller->pid == 0) return caller->uid == 0;  // of a process namespace that is not ours
  const std::optional<std::uint64_t> capabilities = effective_capabilities(caller->pid);
  if (!capabilities) return caller->uid == 0;
  return (*capabilities >> capability & 1U) != 0 && is_in_our_user_namespace(caller->pid);
}

Status require_owner(fuse_req_t request, uid_t owner) {
  if (fuse_req_ctx(request)->uid == owner || has_capability(request, CAP_FOWNER)) return {};
  return fail(ErrorCode::not_permitted);
}

bool is_in_group(fuse_req_t request, gid_t group) {
  constexpr std::size_t kUsualGroups = 64;
  constexpr std::size_t kMostGroups = 65536;  // NGROUPS_MAX
  if (fuse_req_ctx(request)->gid == group) return true;
  std::vector<gid_t> groups(kUsualGroups);
  const auto read_groups = [&] {
    const int count = fuse_req_getgroups(request, static_cast<int>(groups.size()), groups.data());
    return static_cast<std::size_t>(std::max(count, 0));
  };
  std::size_t count = read_groups();
  if (count > groups.size()) {
    groups.resize(std::min(count, kMostGroups));
    count = read_groups();
  }
  groups.resize(std::min(count, groups.size()));
  return std::find(groups.begin(), groups.end(), group) != groups.end();
}

}  // namespace ashlar::fuse
