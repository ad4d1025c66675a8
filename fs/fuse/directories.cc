// readdir, readdirplus, fsyncdir. There is no opendir, unless reading is to move access times: the kernel learns that
// it need not ask.
#include <cerrno>

#include "fs/fuse/operations.h"
#include "fs/fuse/request.h"

namespace ashlar::fuse {
namespace {

bool is_dot(std::string_view name) noexcept { return name == "." || name == ".."; }

// Fills the answer with entries as long as they fit.
class EntryWriter {
 public:
  EntryWriter(fuse_req_t request, std::span<char> space) : request_(request), space_(space) {}

  // False when the entry does not fit any more.
  bool add(const volume::DirectoryEntry& entry) {
    name_.assign(entry.name);
    struct stat status {};
    status.st_ino = entry.inode.value();
    status.st_mode = static_cast<mode_t>(entry.type) << 12;
    return take(fuse_add_direntry(request_, rest().data(), rest().size(), name_.c_str(), &status,
                                  static_cast<off_t>(entry.position)));
  }

  bool add_plus(const volume::DirectoryEntry& entry, const volume::Attributes* attributes) {
    name_.assign(entry.name);
    fuse_entry_param parameters{};
    if (attributes != nullptr && !is_dot(entry.name)) {
      parameters = to_entry(*attributes);
    } else {  // no reference: the kernel only takes number and type from it
      parameters.attr.st_ino = entry.inode.value();
      parameters.attr.st_mode = static_cast<mode_t>(entry.type) << 12;
    }
    return take(fuse_add_direntry_plus(request_, rest().data(), rest().size(), name_.c_str(), &parameters,
                                       static_cast<off_t>(entry.position)));
  }

  [[nodiscard]] std::span<const char> written() const noexcept { return space_.first(used_); }

 private:
  [[nodiscard]] std::span<char> rest() const noexcept { return space_.subspan(used_); }
  bool take(std::size_t size) {
    if (size > space_.size() - used_) return false;
    used_ += size;
    return true;
  }

  fuse_req_t request_;
  std::span<char> space_;
  std::size_t used_ = 0;
  std::string name_;
};

void list(fuse_req_t request, fuse_ino_t inode, std::size_t size, off_t offset, bool plus) {
  volume::Context context = context_of(request);
  const std::span<std::byte> answer = Worker::current().transport().answer_space();
  const std::size_t room = std::min(size, answer.size());
  EntryWriter writer(request, std::span(reinterpret_cast<char*>(answer.data()), room));
  const Status listed = volume_of(request).read_directory(
      context, InodeNumber{inode}, static_cast<std::uint64_t>(offset), plus,
      [&writer, plus](const volume::DirectoryEntry& entry, const volume::Attributes* attributes) {
        return plus ? writer.add_plus(entry, attributes) : writer.add(entry);
      });
  // Entries that are already in the answer (and counted) go out; the error comes back with the next request.
  if (!listed && writer.written().empty()) return reply_error(request, listed.error());
  volume_of(request).accessed(context, InodeNumber{inode});
  static_cast<void>(fuse_reply_buf(request, writer.written().data(), writer.written().size()));
}

void open_directory(fuse_req_t request, fuse_ino_t /*inode*/, fuse_file_info* file) {
  // From here on the kernel opens and closes directories without asking, and caches what they list.
  if (volume_of(request).access_times() == volume::AccessTimes::never) {
    return static_cast<void>(fuse_reply_err(request, ENOSYS));
  }
  static_cast<void>(fuse_reply_open(request, file));
}

void read_directory(fuse_req_t request, fuse_ino_t inode, std::size_t size, off_t offset, fuse_file_info* /*file*/) {
  list(request, inode, size, offset, false);
}

void read_directory_plus(fuse_req_t request, fuse_ino_t inode, std::size_t size, off_t offset,
                         fuse_file_info* /*file*/) {
  list(request, inode, size, offset, true);
}

void sync_directory(fuse_req_t request, fuse_ino_t inode, int data_only, fuse_file_info* /*file*/) {
  volume::Context context = context_of(request);
  reply(request, volume_of(request).sync_inode(context, InodeNumber{inode}, data_only != 0));
}

}  // namespace

void add_directory_operations(fuse_lowlevel_ops& operations) {
  operations.opendir = open_directory;
  operations.readdir = read_directory;
  operations.readdirplus = read_directory_plus;
  operations.fsyncdir = sync_directory;
}

}  // namespace ashlar::fuse
