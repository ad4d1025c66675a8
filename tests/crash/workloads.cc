#include "tests/crash/workloads.h"

#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>

#include <algorithm>
#include <string_view>

namespace ashlar::crash_test {
namespace {

constexpr int kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

std::string numbered(const std::string& stem, std::uint64_t number) { return stem + std::to_string(number); }

void name_storm(Session& s) {
  for (unsigned d = 0; d < 3; ++d) s.mkdir(numbered("d", d));
  for (unsigned i = 0; i < 24; ++i) {
    s.create(numbered("d", i % 3) + numbered("/f", i));
    if (i % 3 == 0) s.write(numbered("d", i % 3) + numbered("/f", i), 0, 10 + 200 * i);
    if (i % 8 == 7) s.sync_all();
  }
  for (unsigned i = 0; i < 24; i += 2) {
    s.rename(numbered("d", i % 3) + numbered("/f", i), numbered("d", (i + 1) % 3) + numbered("/r", i));
    if (i % 6 == 0) s.sync("d" + std::to_string(i % 3));
  }
  for (unsigned i = 1; i < 24; i += 2) s.unlink(numbered("d", i % 3) + numbered("/f", i));
  s.checkpoint();
  for (unsigned i = 0; i < 24; i += 4) s.unlink(numbered("d", (i + 1) % 3) + numbered("/r", i));
  s.sync_all();
}

void replace_by_rename(Session& s) {
  s.create("config");
  s.write("config", 0, 5000);
  s.sync_all();
  for (unsigned i = 0; i < 14; ++i) {
    s.create("config.new");
    s.write("config.new", 0, 300 + 4000 * (i % 4));
    if (i % 2 == 0) s.sync("config.new");
    s.rename("config.new", "config");
    if (i % 4 == 1) s.sync("config");
    if (i % 5 == 4) s.checkpoint();
  }
  s.sync_all();
}

void overwrite(Session& s) {
  s.create("f");
  s.write("f", 0, 120'000);
  s.sync("f");
  for (unsigned i = 0; i < 40; ++i) {
    s.write("f", s.below(110'000), 1 + s.below(i % 3 == 0 ? 20'000 : 600));
    if (i % 5 == 4) s.sync("f");
    if (i % 13 == 12) s.checkpoint();
  }
  s.sync("f");
}

void append_and_sync(Session& s) {
  s.mkdir("log");
  s.create("log/a");
  s.create("log/b");
  for (unsigned i = 0; i < 30; ++i) {
    s.append("log/a", 100 + s.below(400));
    s.sync("log/a");
    if (i % 3 == 0) s.append("log/b", 3000);
    if (i % 10 == 9) s.sync("log/b");
  }
}

void truncate_and_punch(Session& s) {
  s.create("f");
  s.write("f", 0, 200'000);
  s.sync("f");
  for (unsigned i = 0; i < 12; ++i) {
    s.allocate("f", kPunch, s.below(150'000), 1 + s.below(30'000));
    s.truncate("f", 60'000 + s.below(100'000));
    if (i % 3 == 1) s.sync("f");
    s.write("f", s.below(180'000), 1 + s.below(9000));
    s.truncate("f", s.below(2) == 0 ? s.below(1000) : s.below(200'000));
    s.append("f", 30'000);
    if (i % 5 == 4) s.checkpoint();
  }
  s.truncate("f", 0);
  s.sync("f");
}

void hard_links(Session& s) {
  s.mkdir("a");
  s.mkdir("b");
  s.create("a/f");
  s.write("a/f", 0, 9000);
  for (unsigned i = 0; i < 12; ++i) {
    s.link("a/f", numbered("b/l", i));
    if (i % 4 == 3) s.sync("a/f");
  }
  s.unlink("a/f");
  s.sync("b");
  for (unsigned i = 0; i < 12; ++i) {
    s.write("b/l11", i * 1000, 700);
    if (i < 11) s.unlink(numbered("b/l", i));
    if (i == 5) s.checkpoint();
    if (i % 4 == 2) s.sync("b/l11");
  }
  s.rename("b/l11", "a/f");
  s.link("a/f", "b/again");
  s.rename("b/again", "a/f");
  s.sync_all();
}

void extended_attributes(Session& s) {
  s.create("f");
  s.mkdir("d");
  for (unsigned i = 0; i < 30; ++i) {
    const std::string path = i % 4 == 3 ? "d" : "f";
    s.set_xattr(path, numbered("user.x", s.below(5)), s.below(4) == 0 ? s.below(9000) : s.below(200));
    if (i % 3 == 2) s.remove_xattr(path, numbered("user.x", s.below(5)));
    if (i % 6 == 5) s.sync(path);
    if (i % 14 == 13) s.checkpoint();
  }
  s.unlink("f");
  s.sync_all();
}

void directory_moves(Session& s) {
  for (const char* path : {"a", "a/b", "a/b/c", "x", "x/y"}) s.mkdir(path);
  s.create("a/b/c/f");
  s.create("x/y/g");
  s.sync_all();
  for (unsigned i = 0; i < 6; ++i) {
    s.rename("a/b", "x/y/b");
    s.sync("x/y");
    s.rename("a", "x/y/b", RENAME_EXCHANGE);
    s.rename("x/y/g", "x/g");
    s.mkdir("empty");
    s.rename("x/y/b", "a/z");
    if (i % 2 == 0) s.checkpoint();
    s.rename("a/c", "empty");
    s.rename("x/g", "x/y/g");
    s.rename("x/y/b", "a/b");
    s.rename("empty", "a/b/c");
    s.rmdir("empty");
    if (i % 3 == 1) s.sync_all();
  }
  s.sync_all();
}

void open_and_nameless(Session& s) {
  for (unsigned i = 0; i < 4; ++i) {
    const std::string name = numbered("f", i);
    s.create(name);
    s.write(name, 0, 50'000 * (i + 1));
    const ModelNodePtr open = s.hold(name);
    s.unlink(name);
    s.write(open, 10'000, 60'000);
    if (i == 1) s.sync(open);
    if (i == 2) s.checkpoint();
    s.create("other");
    s.truncate(open, 5000);
    s.unlink("other");
    if (i % 2 == 0) s.release(open);  // the others are open when the power goes
    const ModelNodePtr unnamed = s.make_unnamed("");
    s.write(unnamed, 0, 20'000);
    if (i % 2 == 1) s.link(unnamed, numbered("named", i));
    if (i % 2 == 1) s.sync(unnamed);
    if (i != 2) s.release(unnamed);
    s.sync_all();
  }
}

void preallocation(Session& s) {
  s.create("f");
  s.allocate("f", 0, 0, 150'000);
  s.sync("f");
  for (unsigned i = 0; i < 14; ++i) {
    s.write("f", s.below(140'000), 1 + s.below(12'000));
    if (i % 3 == 0) s.sync("f");
    if (i % 4 == 1) s.allocate("f", FALLOC_FL_ZERO_RANGE, s.below(100'000), 1 + s.below(30'000));
    if (i % 4 == 2) s.allocate("f", kPunch, s.below(100'000), 1 + s.below(30'000));
    if (i % 4 == 3) s.allocate("f", FALLOC_FL_KEEP_SIZE, s.below(200'000), 1 + s.below(30'000));
    if (i == 7) s.checkpoint();
  }
  s.truncate("f", 100'000);
  s.allocate("f", 0, 50'000, 100'000);
  s.sync("f");
}

// A rollback journal: written, synced, then the database in place, synced, then the journal goes, and its directory is
// synced.
void database(Session& s) {
  constexpr std::uint64_t kPage = 4096;
  s.mkdir("db");
  s.create("db/main");
  s.write("db/main", 0, 16 * kPage);
  s.sync("db/main");
  for (unsigned i = 0; i < 9; ++i) {
    s.create("db/main-journal");
    s.write("db/main-journal", 0, 512);
    for (unsigned page = 0; page < 3; ++page) s.append("db/main-journal", kPage + 8);
    s.sync("db/main-journal");
    s.write("db/main-journal", 0, 28);  // the header counts the pages now
    s.sync("db/main-journal");
    for (unsigned page = 0; page < 3; ++page) s.write("db/main", s.below(18) * kPage, kPage);
    s.sync("db/main");
    s.unlink("db/main-journal");
    s.sync("db");
    if (i == 4) s.checkpoint();
  }
}

// Objects under temporary names, linked into place, then a reference replaced under a lock file.
void version_control(Session& s) {
  for (const char* path : {"objects", "objects/00", "objects/01", "refs", "tree"}) s.mkdir(path);
  s.create("refs/main");
  for (unsigned commit = 0; commit < 5; ++commit) {
    s.create(numbered("tree/file", commit));
    s.write(numbered("tree/file", commit), 0, 2500 * commit);
    for (unsigned object = 0; object < 3; ++object) {
      s.create("objects/tmp");
      s.write("objects/tmp", 0, 90 + s.below(6000));
      s.chmod("objects/tmp", 0444);
      s.sync("objects/tmp");
      s.link("objects/tmp", numbered("objects/0", object % 2) + "/" + numbered("o", commit * 3 + object));
      s.unlink("objects/tmp");
    }
    s.create("refs/main.lock");
    s.write("refs/main.lock", 0, 41);
    s.sync("refs/main.lock");
    s.rename("refs/main.lock", "refs/main");
    s.sync("refs");
    if (commit == 2) s.checkpoint();
  }
}

// More bytes of log than its area holds, so that it wraps and checkpoints are forced.
void log_wraps(Session& s) {
  for (unsigned i = 0; i < 5; ++i) s.create(numbered("f", i));
  for (unsigned i = 0; i < 60; ++i) {
    for (unsigned x = 0; x < 2; ++x) s.set_xattr(numbered("f", i % 5), numbered("user.", x), 14'000 + s.below(2000));
    if (i % 4 == 3) s.sync(numbered("f", i % 5));
  }
}

// Files in so many pieces that cutting and removing them takes several transactions, with so much log before each that
// some of these come to lie in the next chunk.
void fragments(Session& s) {
  constexpr unsigned kPieces = 160;
  constexpr std::uint64_t kBlock = 512;
  s.create("pad");
  // Log until the next chunk has room left for one of the transactions but not for two.
  const auto pad = [&s] {
    constexpr std::uint64_t kChunk = 256U << 10;
    constexpr std::uint64_t kOneTransaction = 5000;
    constexpr std::uint64_t kOverhead = 300;
    const std::uint64_t begun = s.volume().store().stats().log.record_bytes;
    for (;;) {
      const std::uint64_t used = s.volume().store().stats().log.record_bytes - begun;
      const std::uint64_t wanted = kChunk - kOneTransaction - kOverhead - used;
      s.set_xattr("pad", "user.x", std::min<std::uint64_t>(wanted, 7000));
      if (wanted < 7000) return;
    }
  };
  for (unsigned f = 0; f < 2; ++f) {
    const std::string name = numbered("f", f);
    s.create(name);
    for (unsigned i = 0; i < kPieces; ++i) s.write(name, (2 * kPieces - 2 * i) * kBlock, kBlock);
    s.sync(name);
    pad();
    if (f == 0) {
      s.truncate(name, 30 * kBlock + 100);
    } else {
      s.unlink(name);
    }
    s.commit();
  }
  s.write("f0", 10'000, 100);
  s.truncate("f0", 0);
  s.sync("f0");
}

void attributes(Session& s) {
  s.create("f");
  s.symlink("somewhere/else", "link");
  s.create("pipe", S_IFIFO | 0600);
  s.sync_all();
  for (unsigned i = 0; i < 20; ++i) {
    s.chmod(i % 2 == 0 ? "f" : "pipe", 0600 + static_cast<std::uint32_t>(s.below(64)));
    if (i % 5 == 2) s.sync("f");
    if (i % 5 == 3) s.symlink(std::string(1 + s.below(900), 'x'), numbered("link", i));
    if (i % 5 == 4) s.sync(numbered("link", i - 1));
    if (i % 7 == 6) s.unlink("link" + std::to_string(i - 3));
    if (i == 11) s.checkpoint();
  }
  s.sync_all();
}

// Without checksums nothing tells recovery whether data arrived: it must be there before the record that names it.
void without_copy_on_write(Session& s) {
  s.create("f");
  s.set_flags("f", FS_NOCOW_FL);
  s.sync_all();
  for (unsigned i = 0; i < 16; ++i) {
    s.write("f", i * 8192, 8192);
    if (i % 4 == 1) s.commit();
  }
  s.create("g");
  s.set_flags("g", FS_NOCOW_FL);
  s.allocate("g", 0, 0, 100'000);
  for (unsigned i = 0; i < 8; ++i) {
    s.write("g", i * 12'288, 8192);
    if (i == 3) s.checkpoint();
  }
  s.truncate("f", 65'536);
  s.sync_all();
}

// Aged files, put together while they are in use: with checksums, without, with holes and preallocated parts.
void defragmented(Session& s) {
  constexpr std::uint64_t kBlock = 4096;
  for (const char* name : {"f", "g", "nocow"}) s.create(name);
  s.set_flags("nocow", FS_NOCOW_FL);
  s.allocate("g", FALLOC_FL_KEEP_SIZE, 10 * kBlock, 6 * kBlock);
  for (unsigned i = 0; i < 12; ++i) {
    for (const char* name : {"f", "g", "nocow"}) s.write(name, (i * 7 % 12) * 2 * kBlock, (1 + i % 2) * kBlock);
    if (i % 5 == 4) s.sync("f");
  }
  for (unsigned round = 0; round < 3; ++round) {
    for (const char* name : {"f", "g", "nocow"}) {
      const bool nocow = name == std::string_view("nocow");
      if (!nocow) s.defragment(name);
      // What has no checksums and is overwritten in place is no prefix of anything.
      s.write(name, (nocow ? 24 + 4 * round : s.below(20)) * kBlock, kBlock + s.below(5000));
      if (nocow) s.defragment(name);
      if (nocow && round == 2) s.commit();
      if (round == 1) s.sync(name);
    }
    if (round == 0) s.sync_all();
    if (round == 1) s.checkpoint();
    for (unsigned i = 0; i < 4; ++i) s.write("f", s.below(20) * kBlock, kBlock);
    s.allocate("g", kPunch, s.below(20) * kBlock, 2 * kBlock);
  }
  s.defragment("f");
  s.truncate("f", 5 * kBlock);
  s.sync("f");
}

// What such a file keeps of the promise though it is overwritten in place: sizes that are no multiples of blocks,
// holes. No byte is written twice without being cut off or punched in between.
void in_place_sizes(Session& s) {
  s.create("f");
  s.set_flags("f", FS_NOCOW_FL);
  s.write("f", 0, 3 * 4096);
  s.sync("f");
  for (unsigned i = 0; i < 22; ++i) {
    const std::uint64_t size = s.node("f")->contents.size();
    switch (i % 6) {
      case 0: s.truncate("f", size - 1 - s.below(std::min<std::uint64_t>(size, 5000))); break;
      case 1: s.append("f", 1 + s.below(1500)); break;
      case 2: s.write("f", size + 1 + s.below(3000), 1 + s.below(3000)); break;
      case 3: s.allocate("f", kPunch, s.below(size), 1 + s.below(6000)); break;
      case 4: s.truncate("f", size + 1 + s.below(6000)); break;
      default: s.append("f", 4096 - s.node("f")->contents.size() % 4096);
    }
    if (i % 5 == 2) s.sync("f");
    if (i % 5 == 4) s.commit();
    if (i == 15) s.checkpoint();
  }
  s.sync_all();
}

// Operations with too little room, some of which are refused, and removals.
void nearly_full(Session& s) {
  s.create("kept");
  s.write("kept", 0, 50'000);
  s.sync_all();
  for (unsigned round = 0; round < 3; ++round) {
    s.fill(2 + 10 * round);
    for (unsigned i = 0; i < 30; ++i) {
      random_operation(s);
      if (i % 6 == 5) s.sync_all();
      if (i % 10 == 9) s.write("kept", s.below(40'000), 1 + s.below(9000));
    }
    s.truncate("kept", 45'000 - 1000 * round);
    if (round == 1) s.checkpoint();
    if (round != 2) s.unlink("filler");
    s.commit();
  }
}

void random_mix(Session& s) {
  for (unsigned i = 0; i < 110; ++i) {
    random_operation(s);
    if (s.below(9) == 0) s.sync_all();
    if (s.below(18) == 0) s.commit();
    if (s.below(25) == 0) s.checkpoint();
  }
}

void random_mix_with_remounts(Session& s) {
  for (unsigned i = 0; i < 140; ++i) {
    random_operation(s);
    if (s.below(12) == 0) s.sync_all();
    if (s.below(40) == 0) s.remount();
  }
}

// The last group becomes longer, groups are added, and (with small blocks) the group table moves twice.
void growing(Session& s) {
  constexpr std::uint64_t kStep = 7ULL << 20;
  s.create("kept");
  s.write("kept", 0, 90'000);
  std::uint64_t bytes = 16ULL << 20;
  for (unsigned round = 0; round < 6; ++round) {
    for (unsigned i = 0; i < 12; ++i) random_operation(s);
    if (round % 2 == 0) s.sync_all();
    bytes += round % 3 == 0 ? kStep / 7 : kStep * round;
    s.grow(bytes);
    s.write("kept", s.below(80'000), 1 + s.below(9000));
    if (round % 2 == 1) s.sync("kept");
  }
  for (unsigned i = 0; i < 12; ++i) random_operation(s);
  s.commit();
}

// What is gained is used at once, by what found no room before.
void full_and_growing(Session& s) {
  s.create("kept");
  s.write("kept", 0, 50'000);
  std::uint64_t bytes = 16ULL << 20;
  for (unsigned round = 0; round < 3; ++round) {
    s.fill(2 + 3 * round);
    for (unsigned i = 0; i < 10; ++i) random_operation(s);
    bytes += 3ULL << 19;
    s.grow(bytes);
    for (unsigned i = 0; i < 10; ++i) random_operation(s);
    s.write("kept", s.below(40'000), 1 + s.below(9000));
    s.sync_all();
    if (round == 1) s.unlink("filler");
  }
}

}  // namespace

const std::vector<Workload>& workloads() {
  constexpr Geometry kSmall{16ULL << 20, 512, 2048};
  constexpr Geometry kMiddle{};
  constexpr Geometry kLarge{16ULL << 20, 4096, 16384};
  static const std::vector<Workload> all = {
      {"name_storm", kSmall, name_storm},
      {"replace_by_rename", kMiddle, replace_by_rename},
      {"overwrite", kMiddle, overwrite},
      {"append_and_sync", kLarge, append_and_sync},
      {"truncate_and_punch", kMiddle, truncate_and_punch},
      {"hard_links", kMiddle, hard_links},
      {"extended_attributes", kMiddle, extended_attributes},
      {"directory_moves", kMiddle, directory_moves},
      {"open_and_nameless", kMiddle, open_and_nameless},
      {"preallocation", kMiddle, preallocation},
      {"database", kLarge, database},
      {"version_control", kMiddle, version_control},
      {"log_wraps", kMiddle, log_wraps},
      {"fragments", kSmall, fragments},
      {"attributes", kMiddle, attributes},
      {"without_copy_on_write", kMiddle, without_copy_on_write},
      {"defragmented", kMiddle, defragmented},
      {"in_place_sizes", kMiddle, in_place_sizes},
      {"nearly_full", kMiddle, nearly_full, true},
      {"growing", kMiddle, growing},
      {"growing_small", kSmall, growing},
      {"full_and_growing", kSmall, full_and_growing, true},
      {"random_mix", kMiddle, random_mix},
      {"random_mix_small", kSmall, random_mix},
      {"random_mix_with_remounts", kMiddle, random_mix_with_remounts},
  };
  return all;
}

}  // namespace ashlar::crash_test
