#include "fs/ctl/daemon_status.h"

#include <fmt/format.h>
#include <sys/xattr.h>

#include <cerrno>

#include "fs/ctl/mount_lookup.h"

namespace ashlar::ctl {
namespace {

constexpr const char* kStatusName = "user.ashlarfs.status";
constexpr std::size_t kMaxStatus = 65536;  // what the kernel lets an attribute have
constexpr int kMostNested = 32;

Result<std::string> read_text(const std::string& mount_point) {
  std::string status(kMaxStatus, '\0');
  const ssize_t size = getxattr(mount_point.c_str(), kStatusName, status.data(), status.size());
  if (size < 0) {
    const int error = errno;
    const char* const why = error == ENODATA ? "no AshlarFS daemon answers there" : daemon_error_text(error);
    return fail(from_errno(error), fmt::format("{}: {}", mount_point, why));
  }
  status.resize(static_cast<std::size_t>(size));
  return status;
}

}  // namespace

std::optional<nlohmann::json> parse_status(std::string_view text) {
  using nlohmann::json;
  bool is_too_deep = false;
  const auto keep = [&is_too_deep](int depth, json::parse_event_t, json&) {
    is_too_deep = is_too_deep || depth > kMostNested;
    return !is_too_deep;
  };
  json status = json::parse(text, keep, false);
  if (is_too_deep || !status.is_object()) return std::nullopt;
  return status;
}

Result<nlohmann::json> read_status(const std::string& mount_point) {
  const std::string text = TRY(read_text(mount_point));
  std::optional<nlohmann::json> status = parse_status(text);
  if (status) return *std::move(status);
  return fail(ErrorCode::corrupt_structure, fmt::format("{}: the daemon's answer is not understood", mount_point));
}

}  // namespace ashlar::ctl
