// Reading, writing, seeking, listing, resizing, syncing.
#include "tests/posix/descriptor_operations.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

namespace ashlar::posix_test {
namespace {

void add_transfers(OperationTable& table) {
  table.asks("read", [&with = table.with()](int fd) { return read(fd, with.buffer.data(), 4096); });
  table.asks("read little", [&with = table.with()](int fd) { return read(fd, with.buffer.data() + 1, 10); });
  table.asks("read nothing", [&with = table.with()](int fd) { return read(fd, with.buffer.data(), 0); });
  table.asks("read to nowhere", [](int fd) { return read(fd, bad_address(), 4096); });
  table.changes("write", [&with = table.with()](int fd) { return write(fd, with.buffer.data(), 4096); });
  table.changes("write little", [&with = table.with()](int fd) { return write(fd, with.buffer.data() + 1, 10); });
  table.changes("write nothing", [&with = table.with()](int fd) { return write(fd, with.buffer.data(), 0); });
  table.changes("write from nowhere", [](int fd) { return write(fd, bad_address(), 4096); });
  for (const off_t offset : {off_t{0}, off_t{-1}, off_t{4096}, off_t{1} << 40, kBeyondExt4, kMost - 4096, kMost}) {
    table.asks("pread at " + std::to_string(offset),
               [=, &with = table.with()](int fd) { return pread(fd, with.buffer.data(), 4096, offset); });
    if (offset == off_t{1} << 40) continue;  // writing there takes a while
    table.changes("pwrite at " + std::to_string(offset),
                  [=, &with = table.with()](int fd) { return pwrite(fd, with.buffer.data(), 4096, offset); });
  }
  table.asks("pread nothing below 0", [&with = table.with()](int fd) { return pread(fd, with.buffer.data(), 0, -1); });
  table.changes("pwrite nothing below 0",
                [&with = table.with()](int fd) { return pwrite(fd, with.buffer.data(), 0, -1); });
  table.changes("pwrite nothing far",
                [&with = table.with()](int fd) { return pwrite(fd, with.buffer.data(), 0, kBeyondExt4); });
  table.changes("pwrite up to the limit", [&with = table.with()](int fd) {
    return limited([&] { return pwrite(fd, with.buffer.data(), 8192, kLimit - 4096); });
  });
  table.changes("pwrite beyond the limit", [&with = table.with()](int fd) {
    return limited([&] { return pwrite(fd, with.buffer.data(), 4096, kBeyondLimit); });
  });
  table.changes("pwrite nothing beyond the limit", [&with = table.with()](int fd) {
    return limited([&] { return pwrite(fd, with.buffer.data(), 0, kBeyondLimit); });
  });
}

void add_vectors(OperationTable& table) {
  const std::pair<const char*, int> counts[] = {{"one", 1}, {"none", 0}, {"less than none", -1}, {"too many", 1025}};
  for (const auto& [name, count] : counts) {
    table.asks(std::string("readv ") + name, [&with = table.with(), count = count](int fd) {
      const std::vector<iovec> parts(1025, iovec{with.buffer.data(), 4096});
      return readv(fd, parts.data(), count);
    });
    table.changes(std::string("writev ") + name, [&with = table.with(), count = count](int fd) {
      const std::vector<iovec> parts(1025, iovec{with.buffer.data(), 4096});
      return writev(fd, parts.data(), count);
    });
  }
  table.asks("readv of a length below 0", [&with = table.with()](int fd) {
    const iovec part{with.buffer.data(), ~std::size_t{0}};
    return readv(fd, &part, 1);
  });
  table.changes("writev of a length below 0", [&with = table.with()](int fd) {
    const iovec part{with.buffer.data(), ~std::size_t{0}};
    return writev(fd, &part, 1);
  });
  constexpr int kAtomic = 0x40;
  constexpr int kNoAppend = 0x20;
  constexpr int kUncached = 0x80;
  const std::pair<const char*, int> flags[] = {{"high priority", RWF_HIPRI},
                                               {"dsync", RWF_DSYNC},
                                               {"sync", RWF_SYNC},
                                               {"append", RWF_APPEND},
                                               {"no append", kNoAppend},
                                               {"atomic", kAtomic},
                                               {"uncached", kUncached},
                                               {"unknown flag", 1 << 30},
                                               {"both ways", RWF_APPEND | kNoAppend},
                                               {"none", 0}};
  for (const auto& [name, flag] : flags) {
    for (const off_t offset : {off_t{0}, off_t{-1}, off_t{-2}}) {
      if (offset != 0 && flag != 0 && flag != RWF_APPEND) continue;
      const std::string text = std::string("with ") + name + " at " + std::to_string(offset);
      table.asks("preadv2 " + text, [&with = table.with(), offset, flag = flag](int fd) {
        const iovec part{with.buffer.data(), 4096};
        return preadv2(fd, &part, 1, offset, flag);
      });
      table.changes("pwritev2 " + text, [&with = table.with(), offset, flag = flag](int fd) {
        const iovec part{with.buffer.data(), 4096};
        return pwritev2(fd, &part, 1, offset, flag);
      });
    }
  }
}

void add_offsets(OperationTable& table) {
  const std::pair<const char*, int> origins[] = {
      {"set", SEEK_SET}, {"current", SEEK_CUR}, {"data", SEEK_DATA}, {"hole", SEEK_HOLE}};
  for (const auto& [name, whence] : origins) {
    for (const off_t offset : {off_t{0}, off_t{5}, off_t{-1}, off_t{kFileBytes}, kBeyondExt4, kMost}) {
      table.asks(std::string("lseek ") + name + " " + std::to_string(offset),
                 [=, whence = whence](int fd) { return lseek(fd, offset, whence); });
    }
  }
  // Where the end of a directory is has no meaning to others.
  table.asks("lseek end", [](int fd) { return lseek(fd, 0, SEEK_END) < 0 ? -1 : 0; });
  table.asks("lseek before the beginning", [](int fd) { return lseek(fd, -(1LL << 62), SEEK_END); });
  table.asks("lseek end too far", [](int fd) { return lseek(fd, kMost, SEEK_END) < 0 ? -1 : 0; });
  table.asks("lseek from nowhere", [](int fd) { return lseek(fd, 0, 5); });
  table.asks("lseek from below nowhere", [](int fd) { return lseek(fd, 0, -1); });
  table.asks("getdents",
             [&with = table.with()](int fd) { return getdents64(fd, with.buffer.data(), 4096) < 0 ? -1 : 0; });
  table.asks("getdents of little", [&with = table.with()](int fd) { return getdents64(fd, with.buffer.data(), 8); });
  table.asks("getdents of nothing", [&with = table.with()](int fd) { return getdents64(fd, with.buffer.data(), 0); });
  table.asks("getdents to nowhere", [](int fd) { return getdents64(fd, bad_address(), 4096); });
}

void add_sizes(OperationTable& table) {
  for (const off_t size : {off_t{0}, off_t{5}, off_t{kFileBytes}, off_t{20'000}, off_t{-1}, kBeyondExt4, kMost}) {
    table.changes("ftruncate to " + std::to_string(size), [=](int fd) { return ftruncate(fd, size); });
  }
  table.changes("ftruncate beyond the limit",
                [](int fd) { return limited([&] { return ftruncate(fd, kBeyondLimit); }); });
  constexpr int kWriteZeroes = 0x80;
  constexpr int kKeep = FALLOC_FL_KEEP_SIZE;
  const std::pair<const char*, int> modes[] = {{"plain", 0},
                                               {"keep", kKeep},
                                               {"punch", FALLOC_FL_PUNCH_HOLE | kKeep},
                                               {"punch and grow", FALLOC_FL_PUNCH_HOLE},
                                               {"zero", FALLOC_FL_ZERO_RANGE},
                                               {"zero and keep", FALLOC_FL_ZERO_RANGE | kKeep},
                                               {"punch and zero", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE | kKeep},
                                               {"collapse", FALLOC_FL_COLLAPSE_RANGE},
                                               {"collapse and keep", FALLOC_FL_COLLAPSE_RANGE | kKeep},
                                               {"insert", FALLOC_FL_INSERT_RANGE},
                                               {"unshare", FALLOC_FL_UNSHARE_RANGE},
                                               {"write zeroes", kWriteZeroes},
                                               {"unknown", 0x1000}};
  struct Range {
    off_t offset;
    off_t length;
  };
  constexpr Range kRanges[] = {{0, 4096},  {100, 50},        {4096, 16384},      {0, 0}, {0, -1}, {-1, 10},
                               {kMost, 1}, {kMost - 10, 10}, {kBeyondExt4, 4096}};
  for (const auto& [name, mode] : modes) {
    for (const Range& range : kRanges) {
      table.changes(
          std::string("fallocate ") + name + " " + std::to_string(range.offset) + "+" + std::to_string(range.length),
          [range, mode = mode](int fd) { return fallocate(fd, mode, range.offset, range.length); });
    }
    table.changes(std::string("fallocate ") + name + " beyond the limit",
                  [mode = mode](int fd) { return limited([&] { return fallocate(fd, mode, kBeyondLimit, 4096); }); });
  }
}

void add_syncing(OperationTable& table) {
  table.asks("fsync", [](int fd) { return fsync(fd); });
  table.asks("fdatasync", [](int fd) { return fdatasync(fd); });
  table.asks("sync_file_range", [](int fd) { return sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE); });
  table.asks("sync_file_range below 0", [](int fd) { return sync_file_range(fd, -1, 0, SYNC_FILE_RANGE_WRITE); });
  table.asks("sync_file_range unknown", [](int fd) { return sync_file_range(fd, 0, 0, 0x100); });
  table.asks("readahead", [](int fd) { return readahead(fd, 0, 4096); });
  const auto advises = [](int fd, off_t length, int advice) {
    const int error = posix_fadvise(fd, 0, length, advice);
    errno = error;
    return error == 0 ? 0 : -1;
  };
  table.asks("fadvise", [=](int fd) { return advises(fd, 0, POSIX_FADV_WILLNEED); });
  table.asks("fadvise below 0", [=](int fd) { return advises(fd, -1, POSIX_FADV_WILLNEED); });
  table.asks("fadvise unknown", [=](int fd) { return advises(fd, 0, 77); });
}

}  // namespace

void add_contents_operations(OperationTable& table) {
  add_transfers(table);
  add_vectors(table);
  add_offsets(table);
  add_sizes(table);
  add_syncing(table);
}

}  // namespace ashlar::posix_test
