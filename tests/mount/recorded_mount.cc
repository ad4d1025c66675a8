#include "tests/mount/recorded_mount.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <stdexcept>
#include <utility>
#include <vector>

#include "blockio/aligned_buffer.h"
#include "mkfs/format_volume.h"
#include "tests/mount/command.h"

namespace ashlar::mount_test {
namespace {

constexpr unsigned kThreads = 4;
// So often that commits nobody asked for are among what happens.
constexpr std::chrono::milliseconds kCommitInterval{100};
constexpr std::size_t kPiece = 256U << 10;
constexpr std::size_t kLargestBlock = 65536;

void demand(const Status& status, const char* what) {
  if (!status) throw std::runtime_error(std::string(what) + ": " + status.error().message());
}

template <typename Value>
Value demanded(Result<Value> result, const char* what) {
  if (!result) throw std::runtime_error(std::string(what) + ": " + result.error().message());
  return *std::move(result);
}

blockio::MemoryImage formatted(std::uint64_t bytes) {
  blockio::MemoryDevice device(bytes);
  const auto io = demanded(device.open_queue({}), "queue");
  auto plan = demanded(mkfs::plan_volume(device.geometry(), {}), "mkfs");
  demand(mkfs::write_volume(*io, plan, false), "mkfs");
  return device.snapshot();
}

class Extractor {
 public:
  Extractor(volume::Volume& volume, volume::Context& context)
      : volume_(volume), context_(context), buffer_(kPiece + 2 * kLargestBlock) {}

  [[nodiscard]] Status directory(InodeNumber number, const std::filesystem::path& target) {
    std::vector<std::pair<std::string, InodeNumber>> entries;
    TRY(volume_.read_directory(context_, number, 0, false,
                               [&](const volume::DirectoryEntry& entry, const volume::Attributes*) {
                                 if (entry.name != "." && entry.name != "..") {
                                   entries.emplace_back(entry.name, entry.inode);
                                 }
                                 return true;
                               }));
    std::filesystem::create_directory(target);
    for (const auto& [name, inode] : entries) {
      const volume::Attributes attributes = TRY(volume_.attributes(context_, inode));
      if (S_ISDIR(attributes.mode)) {
        TRY(directory(inode, target / name));
      } else if (S_ISREG(attributes.mode)) {
        TRY(file(attributes, target / name));
      } else if (S_ISLNK(attributes.mode)) {
        std::filesystem::create_symlink(TRY(volume_.read_symlink(context_, inode)), target / name);
      }
    }
    return {};
  }

 private:
  [[nodiscard]] Status file(const volume::Attributes& attributes, const std::filesystem::path& target) {
    std::ofstream stream(target, std::ios::binary);
    for (std::uint64_t at = 0; at < attributes.size; at += kPiece) {
      const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(kPiece, attributes.size - at));
      const auto bytes = TRY(volume_.read(context_, attributes.inode, at, length, buffer_.span()));
      stream.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    }
    stream.close();
    if (!stream) return fail(ErrorCode::io_error, target.string());
    std::filesystem::permissions(target, static_cast<std::filesystem::perms>(attributes.mode & 0777));
    return {};
  }

  volume::Volume& volume_;
  volume::Context& context_;
  blockio::AlignedBuffer buffer_;
};

}  // namespace

RecordedMount::RecordedMount(std::uint64_t bytes, std::filesystem::path mount_point)
    : mount_point_(std::move(mount_point)), device_(formatted(bytes)), io_(demanded(device_.open_queue({}), "queue")) {
  volume::VolumeOptions options;
  options.store.commit_interval = kCommitInterval;
  volume_ = demanded(volume::Volume::open(device_, *io_, options), "opening the volume");
  edge_ = std::make_unique<fuse::Edge>(fuse::Edge{*volume_, [] { return std::string("{}"); }});
  fuse::MountOptions mount;
  mount.source = "recorded";
  mount.mount_point = mount_point_.string();
  mount.transport = fuse::TransportChoice::dev;
  session_ = demanded(fuse::Session::mount(mount, *edge_), "mount");
  const fuse::ServeOptions serve{kThreads, {}, volume_->store().layout().block_size()};
  demand(session_->start(device_, serve, [] {}), "serving the mount");
}

RecordedMount::~RecordedMount() = default;  // the session's end unmounts

Status RecordedMount::unmount() {
  const CommandResult result = run({"umount", mount_point_.string()});
  if (result.exit_status != 0) return fail(ErrorCode::busy, result.errors);
  session_->join();
  session_.reset();
  TRY(volume_->close(*io_));
  return {};
}

Status copy_out(volume::Volume& volume, volume::Context& context, const std::filesystem::path& target) {
  return Extractor(volume, context).directory(kRootInode, target);
}

}  // namespace ashlar::mount_test
