// ashlarctl defrag [-r] [--min-run SIZE] [-n] [-v] PATH...
#include <fmt/format.h>
#include <fts.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "fs/base/file_descriptor.h"
#include "fs/base/standard_streams.h"
#include "fs/base/terminal_progress.h"
#include "fs/ctl/cancel_on_signal.h"
#include "fs/ctl/commands.h"
#include "fs/ctl/exit_status.h"
#include "fs/ctl/open_unnoticed.h"
#include "fs/format/text.h"
#include "fs/fuse/defragment_protocol.h"

namespace ashlar::ctl {
namespace {

constexpr std::uint64_t kBytesPerStep = 8U << 20;

const char* defrag_refusal(int error) {
  switch (error) {
    case EPERM: return "only its owner and root may defragment it";
    case ENOTTY: return "is not on an AshlarFS volume, or its daemon is older and cannot defragment";
    case ENOSPC: return "no space left on the volume to put pieces together in";
    case EIO:
      return "part of it cannot be read or written; it stays where it was (ashlarctl scrub names what is damaged)";
    case EROFS: return "the volume is read-only";
    default: return std::strerror(error);
  }
}

// All files, one after the other.
class Defrag {
 public:
  explicit Defrag(const DefragOptions& options) : options_(options) {}

  // False: nothing more is to be done.
  bool handle_path(const std::string& path);
  void print_summary() const;
  [[nodiscard]] int exit_status() const noexcept {
    return (failed_ ? kSomeFailed : 0) | (cancelled() ? kStoppedEarly : 0);
  }

 private:
  struct Total {
    std::uint64_t runs = 0;
    std::uint64_t bytes = 0;
  };

  void handle_entry(FTS& walk, FTSENT& entry);
  void handle_file(const FTSENT& entry);
  enum class Purpose : std::uint8_t { look, move, look_again };
  [[nodiscard]] bool pass(int file, const FTSENT& entry, Purpose purpose, Total& total);
  void complain(const char* path, const char* why) {
    print(stderr, "ashlarctl: defrag: {}: {}\n", format::printable(path), why);
    failed_ = true;
  }

  const DefragOptions& options_;
  bool failed_ = false;
  bool full_ = false;
  std::uint64_t files_ = 0;
  std::uint64_t changed_ = 0;
  Total before_;  // bytes: moved, or worth it
  std::uint64_t runs_after_ = 0;
};

bool Defrag::handle_path(const std::string& path) {
  std::string name = path;
  char* const roots[] = {name.data(), nullptr};
  const std::unique_ptr<FTS, int (*)(FTS*)> walk(fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, nullptr),
                                                 fts_close);
  if (!walk) {
    complain(path.c_str(), std::strerror(errno));
    return true;
  }
  while (FTSENT* const entry = fts_read(walk.get())) {
    handle_entry(*walk, *entry);
    if (full_ || cancelled()) return false;
  }
  return true;
}

void Defrag::handle_entry(FTS& walk, FTSENT& entry) {
  const bool named = entry.fts_level == FTS_ROOTLEVEL;
  switch (entry.fts_info) {
    case FTS_F: return handle_file(entry);
    case FTS_D:
      if (options_.recursive) return;
      complain(entry.fts_path, "is a directory: give -r for the files below it");
      static_cast<void>(fts_set(&walk, &entry, FTS_SKIP));
      return;
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS: return complain(entry.fts_path, std::strerror(entry.fts_errno));
    case FTS_DP: return;
    default:
      if (named) complain(entry.fts_path, "is not a regular file");
  }
}

// The file from its beginning to its end; false when it could not be done.
bool Defrag::pass(int file, const FTSENT& entry, Purpose purpose, Total& total) {
  const bool moves = purpose == Purpose::move;
  TerminalProgress progress("defrag");
  const auto size = static_cast<std::uint64_t>(entry.fts_statp->st_size);
  fuse::DefragmentExchange exchange{};
  do {
    // What was moved before an interrupt is still to be told.
    if (cancelled() && purpose != Purpose::look_again) return true;
    exchange.version = fuse::kDefragmentVersion;
    exchange.flags = moves ? 0 : fuse::kDefragmentDryRun;
    exchange.shortest_run = options_.shortest_run;
    exchange.budget = std::max(kBytesPerStep, 2 * options_.shortest_run);
    if (ioctl(file, fuse::kDefragmentCommand, &exchange) != 0) {
      if (errno == EINTR) continue;
      full_ = errno == ENOSPC;
      progress.clear();
      complain(entry.fts_path, defrag_refusal(errno));
      return false;
    }
    total.runs += exchange.runs;
    total.bytes += exchange.bytes;
    if (moves) progress.show(std::min(exchange.position, size), size);
  } while ((exchange.flags & fuse::kDefragmentDone) == 0);
  return true;
}

// A look first, which is cheap, tells how it lies.
void Defrag::handle_file(const FTSENT& entry) {
  const FileDescriptor file(open_unnoticed(entry.fts_accpath));
  if (file.get() < 0) return complain(entry.fts_path, std::strerror(errno));
  ++files_;
  Total before;
  if (!pass(file.get(), entry, Purpose::look, before)) return;
  Total moved;
  std::uint64_t after = before.runs;
  if (!options_.dry_run && before.runs > 1) {
    const bool done = pass(file.get(), entry, Purpose::move, moved);
    Total then;
    if (moved.bytes != 0 && pass(file.get(), entry, Purpose::look_again, then)) after = then.runs;
    if (!done && moved.bytes == 0) return;
  }
  const std::uint64_t bytes = options_.dry_run ? before.bytes : moved.bytes;
  if (bytes != 0) ++changed_;
  before_.runs += before.runs;
  before_.bytes += bytes;
  runs_after_ += after;
  if (!options_.verbose) return;
  const std::string path = format::printable(entry.fts_path);
  if (options_.dry_run) {
    print("{}: {}, {} to move\n", path, format::count_text(before.runs, "extent"), format::size_text(bytes));
  } else {
    print("{}: {} before, {} after, {} moved\n", path, format::count_text(before.runs, "extent"), after,
          format::size_text(bytes));
  }
}

void Defrag::print_summary() const {
  const std::string start =
      fmt::format("{}{}", cancelled() ? "stopped early; " : "", format::count_text(files_, "file"));
  if (options_.dry_run) {
    print("{} in {}; {} of {} to move\n", start, format::count_text(before_.runs, "extent"),
          format::size_text(before_.bytes), format::count_text(changed_, "file"));
  } else {
    print("{}: {} before, {} after; {} of {} moved\n", start, format::count_text(before_.runs, "extent"), runs_after_,
          format::size_text(before_.bytes), format::count_text(changed_, "file"));
  }
}

}  // namespace

Status defrag(const DefragOptions& options, int& exit_status) {
  const CancelOnSignal cancel;
  Defrag work(options);
  for (const std::string& path : options.paths) {
    if (!work.handle_path(path)) break;
  }
  work.print_summary();
  exit_status = work.exit_status();
  return {};
}

}  // namespace ashlar::ctl
