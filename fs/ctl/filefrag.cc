// ashlarctl filefrag [-v] PATH...
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "fs/base/file_descriptor.h"
#include "fs/base/standard_streams.h"
#include "fs/ctl/commands.h"
#include "fs/ctl/exit_status.h"
#include "fs/ctl/extent_table.h"
#include "fs/ctl/open_unnoticed.h"
#include "fs/format/text.h"
#include "fs/fuse/defragment_protocol.h"

namespace ashlar::ctl {
namespace {

const char* filefrag_refusal(int error) {
  switch (error) {
    case EPERM: return "only its owner and root may ask how it lies";
    case ENOTTY: return "is not on an AshlarFS volume, or its daemon is older and cannot tell";
    case ELOOP: return "is a symbolic link";
    case ENOTCONN: return "the daemon of its volume has died; unmount it";
    default: return std::strerror(error);
  }
}

// An errno, or 0.
int count_runs(int file, std::uint64_t& runs) {
  fuse::DefragmentExchange exchange{};
  while ((exchange.flags & fuse::kDefragmentDone) == 0) {
    exchange.version = fuse::kDefragmentVersion;
    exchange.flags = fuse::kDefragmentDryRun;
    exchange.shortest_run = kDefaultShortestRun;
    exchange.budget = kMaxShortestRun;
    if (ioctl(file, fuse::kDefragmentCommand, &exchange) == 0) {
      runs += exchange.runs;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

int print_extents(int file, const std::string& path) {
  ExtentTable table(path);
  fuse::ExtentExchange exchange{};
  while ((exchange.flags & fuse::kExtentDone) == 0) {
    exchange.version = fuse::kExtentVersion;
    exchange.flags = 0;
    if (ioctl(file, fuse::kExtentCommand, &exchange) == 0) {
      table.add(exchange);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  table.finish();
  return 0;
}

// Null when all is well; else what is wrong.
const char* look_at(const std::string& path, bool verbose, std::uint64_t& runs) {
  const FileDescriptor file(open_unnoticed(path.c_str()));
  struct stat info {};
  if (file.get() < 0 || fstat(file.get(), &info) != 0) return filefrag_refusal(errno);
  if (!S_ISREG(info.st_mode)) return "is not a regular file";
  int error = count_runs(file.get(), runs);
  if (error == 0 && verbose) error = print_extents(file.get(), path);
  return error == 0 ? nullptr : filefrag_refusal(error);
}

}  // namespace

Status filefrag(const FilefragOptions& options, int& exit_status) {
  for (const std::string& path : options.paths) {
    std::uint64_t runs = 0;
    if (const char* const wrong = look_at(path, options.verbose, runs)) {
      print(stderr, "ashlarctl: filefrag: {}: {}\n", format::printable(path), wrong);
      exit_status = kSomeFailed;
    } else {
      print("{}: {} found\n", format::printable(path), format::count_text(runs, "extent"));
    }
  }
  return {};
}

}  // namespace ashlar::ctl
