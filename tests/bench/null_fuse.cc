// A FUSE filesystem that does nothing: names and sizes live in a table, contents go nowhere and are read back as
// zeros. What the same work costs here is what the kernel's side of FUSE and libfuse's loop cost, a limit that
// ./dev bench prints beside the filesystems that keep things. Runs in the foreground until it is unmounted.
#include <fmt/core.h>
#include <fuse_lowlevel.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr double kForever = 1e9;
constexpr unsigned kMaxRequest = 1U << 20;
constexpr unsigned kMaxBackground = 64;

struct Node {
  struct stat attributes {};
  std::map<std::string, fuse_ino_t, std::less<>> names;  // of a directory
};

// Every node ever made, numbered from the root on; removed ones keep their place, as the benchmark's life is short.
class Table {
 public:
  Table() { add(S_IFDIR | 0755); }

  // The caller holds this through every use of what the other members return.
  [[nodiscard]] std::unique_lock<std::mutex> lock() { return std::unique_lock(mutex_); }
  // Node ids come from the kernel, which has them from us.
  [[nodiscard]] Node& at(fuse_ino_t inode) { return nodes_.at(inode - FUSE_ROOT_ID); }

  fuse_ino_t add(mode_t mode) {
    Node& node = nodes_.emplace_back();
    node.attributes.st_ino = nodes_.size();
    node.attributes.st_mode = mode;
    node.attributes.st_nlink = S_ISDIR(mode) ? 2 : 1;
    clock_gettime(CLOCK_REALTIME, &node.attributes.st_mtim);
    node.attributes.st_ctim = node.attributes.st_atim = node.attributes.st_mtim;
    return nodes_.size();
  }

 private:
  std::mutex mutex_;
  std::deque<Node> nodes_;
};

Table& table_of(fuse_req_t request) { return *static_cast<Table*>(fuse_req_userdata(request)); }

fuse_entry_param entry_of(Table& table, fuse_ino_t inode) {
  fuse_entry_param entry{};
  entry.ino = inode;
  entry.entry_timeout = entry.attr_timeout = kForever;
  if (inode != 0) entry.attr = table.at(inode).attributes;
  return entry;
}

void on_init(void* /*table*/, fuse_conn_info* connection) {
  constexpr unsigned kWanted = FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_ASYNC_DIO |
                               FUSE_CAP_ASYNC_READ | FUSE_CAP_READDIRPLUS | FUSE_CAP_NO_OPEN_SUPPORT |
                               FUSE_CAP_NO_OPENDIR_SUPPORT | FUSE_CAP_HANDLE_KILLPRIV;
  connection->want |= connection->capable & kWanted;
  connection->max_write = kMaxRequest;
  connection->max_background = kMaxBackground;
  connection->congestion_threshold = kMaxBackground;
}

void on_lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  Table& table = table_of(request);
  const auto lock = table.lock();
  const auto& names = table.at(parent).names;
  const auto found = names.find(std::string_view(name));
  const fuse_entry_param entry = entry_of(table, found == names.end() ? 0 : found->second);
  fuse_reply_entry(request, &entry);
}

void on_getattr(fuse_req_t request, fuse_ino_t inode, fuse_file_info* /*file*/) {
  Table& table = table_of(request);
  const auto lock = table.lock();
  fuse_reply_attr(request, &table.at(inode).attributes, kForever);
}

void on_setattr(fuse_req_t request, fuse_ino_t inode, struct stat* wanted, int which, fuse_file_info* /*file*/) {
  Table& table = table_of(request);
  const auto lock = table.lock();
  struct stat& attributes = table.at(inode).attributes;
  if ((which & FUSE_SET_ATTR_MODE) != 0) attributes.st_mode = wanted->st_mode;
  if ((which & FUSE_SET_ATTR_SIZE) != 0) attributes.st_size = wanted->st_size;
  if ((which & FUSE_SET_ATTR_MTIME) != 0) attributes.st_mtim = wanted->st_mtim;
  fuse_reply_attr(request, &attributes, kForever);
}

fuse_entry_param make_node(Table& table, fuse_ino_t parent, const char* name, mode_t mode) {
  const fuse_ino_t inode = table.add(mode);
  table.at(parent).names[name] = inode;
  return entry_of(table, inode);
}

void on_mkdir(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
  Table& table = table_of(request);
  const auto lock = table.lock();
  const fuse_entry_param entry = make_node(table, parent, name, S_IFDIR | mode);
  fuse_reply_entry(request, &entry);
}

void on_create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, fuse_file_info* file) {
  Table& table = table_of(request);
  const auto lock = table.lock();
  const fuse_entry_param entry = make_node(table, parent, name, S_IFREG | mode);
  fuse_reply_create(request, &entry, file);
}

void on_remove(fuse_req_t request, fuse_ino_t parent, const char* name) {
  Table& table = table_of(request);
  const auto lock = table.lock();
  fuse_reply_err(request, table.at(parent).names.erase(name) == 1 ? 0 : ENOENT);
}

void on_rename(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t new_parent, const char* new_name,
               unsigned /*flags*/) {
  Table& table = table_of(request);
  const auto lock = table.lock();
  auto taken = table.at(parent).names.extract(name);
  if (taken.empty()) {
    fuse_reply_err(request, ENOENT);
    return;
  }
  table.at(new_parent).names[new_name] = taken.mapped();
  fuse_reply_err(request, 0);
}

void on_read(fuse_req_t request, fuse_ino_t inode, std::size_t size, off_t offset, fuse_file_info* /*file*/) {
  static const std::vector<char> kZeros(kMaxRequest);
  std::size_t length = 0;
  {
    Table& table = table_of(request);
    const auto lock = table.lock();
    const off_t left = std::max<off_t>(table.at(inode).attributes.st_size - offset, 0);
    length = std::min({size, kZeros.size(), static_cast<std::size_t>(left)});
  }
  fuse_reply_buf(request, kZeros.data(), length);
}

void on_write(fuse_req_t request, fuse_ino_t inode, const char* /*data*/, std::size_t size, off_t offset,
              fuse_file_info* /*file*/) {
  {
    Table& table = table_of(request);
    const auto lock = table.lock();
    off_t& length = table.at(inode).attributes.st_size;
    length = std::max(length, offset + static_cast<off_t>(size));
  }
  fuse_reply_write(request, size);
}

void on_fsync(fuse_req_t request, fuse_ino_t /*inode*/, int /*data_only*/, fuse_file_info* /*file*/) {
  fuse_reply_err(request, 0);
}

void on_forget(fuse_req_t request, fuse_ino_t /*inode*/, std::uint64_t /*count*/) { fuse_reply_none(request); }

// Offsets count names, "." and ".." first; nobody lists a directory here while it changes. `add` writes one as the
// request wants it and returns the room it takes, or would.
template <typename Add>
void list_names(fuse_req_t request, fuse_ino_t inode, std::size_t size, off_t offset, const Add& add) {
  constexpr off_t kDots = 2;
  Table& table = table_of(request);
  const auto lock = table.lock();
  const auto& names = table.at(inode).names;
  std::vector<char> reply(size);
  std::size_t used = 0;
  const auto put = [&](const char* name, const fuse_entry_param& entry) {
    const std::size_t needed = add(reply.data() + used, size - used, name, entry, offset + 1);
    if (needed > size - used) return false;
    used += needed;
    ++offset;
    return true;
  };
  fuse_entry_param dot{};
  dot.attr.st_mode = S_IFDIR;
  dot.attr.st_ino = inode;  // readdir(3) leaves out what has none
  while (offset < kDots && put(offset == 0 ? "." : "..", dot)) {
  }
  const off_t skipped = std::min<off_t>(std::max<off_t>(offset - kDots, 0), static_cast<off_t>(names.size()));
  for (auto name = std::next(names.begin(), skipped); offset >= kDots && name != names.end(); ++name) {
    if (!put(name->first.c_str(), entry_of(table, name->second))) break;
  }
  fuse_reply_buf(request, reply.data(), used);
}

void on_readdir(fuse_req_t request, fuse_ino_t inode, std::size_t size, off_t offset, fuse_file_info* /*file*/) {
  list_names(request, inode, size, offset,
             [request](char* at, std::size_t room, const char* name, const fuse_entry_param& entry, off_t next) {
               return fuse_add_direntry(request, at, room, name, &entry.attr, next);
             });
}

void on_readdirplus(fuse_req_t request, fuse_ino_t inode, std::size_t size, off_t offset, fuse_file_info* /*file*/) {
  list_names(request, inode, size, offset,
             [request](char* at, std::size_t room, const char* name, const fuse_entry_param& entry, off_t next) {
               return fuse_add_direntry_plus(request, at, room, name, &entry, next);
             });
}

constexpr fuse_lowlevel_ops make_operations() {
  fuse_lowlevel_ops operations{};
  operations.init = on_init;
  operations.lookup = on_lookup;
  operations.forget = on_forget;
  operations.getattr = on_getattr;
  operations.setattr = on_setattr;
  operations.mkdir = on_mkdir;
  operations.create = on_create;
  operations.unlink = on_remove;
  operations.rmdir = on_remove;
  operations.rename = on_rename;
  operations.read = on_read;
  operations.write = on_write;
  operations.fsync = on_fsync;
  operations.fsyncdir = on_fsync;
  operations.readdir = on_readdir;
  operations.readdirplus = on_readdirplus;
  return operations;
}

int serve(fuse_session* session, const char* mount_point) {
  if (fuse_set_signal_handlers(session) != 0) return 1;
  int result = 1;
  if (fuse_session_mount(session, mount_point) == 0) {
    fuse_loop_config* const config = fuse_loop_cfg_create();
    fuse_loop_cfg_set_idle_threads(config, kMaxBackground);
    result = fuse_session_loop_mt(session, config);
    fuse_loop_cfg_destroy(config);
    fuse_session_unmount(session);
  }
  fuse_remove_signal_handlers(session);
  return result == 0 ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    fmt::print(stderr, "usage: null_fuse MOUNT_POINT\n");
    return 2;
  }
  char options[] = "-odefault_permissions,fsname=null,subtype=null";
  char* passed[] = {arguments[0], options, nullptr};
  fuse_args args = FUSE_ARGS_INIT(2, passed);
  constexpr fuse_lowlevel_ops kOperations = make_operations();
  Table table;
  fuse_session* const session = fuse_session_new(&args, &kOperations, sizeof kOperations, &table);
  if (session == nullptr) return 1;
  const int result = serve(session, arguments[1]);
  fuse_session_destroy(session);
  return result;
}
