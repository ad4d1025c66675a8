#include <linux/falloc.h>
#include <stdio.h>

#include <array>

#include "tests/crash/workloads.h"

namespace ashlar::crash_test {

void random_operation(Session& s) {
  constexpr int kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  constexpr std::array kDirectories = {"", "d0/", "d1/", "d0/e/"};
  const auto path = [&] { return kDirectories[s.below(kDirectories.size())] + ("n" + std::to_string(s.below(4))); };
  switch (s.below(16)) {
    case 0: static_cast<void>(s.mkdir("d0") || s.mkdir("d1") || s.mkdir("d0/e")); break;
    case 1:
    case 2:
    case 3: s.create(path()); break;
    case 4:
    case 5: static_cast<void>(s.unlink(path()) || s.rmdir("d0/e")); break;
    case 6: s.rename(path(), path()); break;
    case 7: s.rename(path(), path(), s.below(2) == 0 ? RENAME_EXCHANGE : 0U); break;
    case 8: s.link(path(), path()); break;
    case 9:
    case 10: s.write(path(), s.below(30'000), 1 + s.below(s.below(2) == 0 ? 400 : 30'000)); break;
    case 11: s.append(path(), 1 + s.below(5000)); break;
    case 12: s.truncate(path(), s.below(40'000)); break;
    case 13:
      s.allocate(path(), s.below(2) == 0 ? kPunch : FALLOC_FL_KEEP_SIZE, s.below(30'000), 1 + s.below(20'000));
      break;
    case 14: s.set_xattr(path(), "user." + std::to_string(s.below(3)), s.below(3000)); break;
    default: s.symlink("target", path());
  }
}

}  // namespace ashlar::crash_test
