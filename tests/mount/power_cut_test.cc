// SQLite and git on a real mount whose device loses power: what they acknowledged is there in every state that is left,
// and nothing is broken. Longer with ASHLAR_CRASH_SCALE, other states with ASHLAR_CRASH_SEED.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "fsck/check.h"
#include "tests/crash/budget.h"
#include "tests/mount/command.h"
#include "tests/mount/environment.h"
#include "tests/mount/recorded_mount.h"

namespace ashlar::mount_test {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kBytes = 64ULL << 20;
constexpr std::size_t kTransactions = 60;  // of each database
constexpr std::size_t kCommits = 12;
constexpr std::uint64_t kStates = 60;
constexpr std::array<const char*, 2> kJournals = {"wal", "delete"};

// How many events the device had seen when the program had its word that the Nth thing is durable. Of one thread.
using Acknowledged = std::vector<std::size_t>;

// How many of them a device with so many events must still have.
std::size_t promised(const Acknowledged& acknowledged, std::size_t events) {
  return static_cast<std::size_t>(std::upper_bound(acknowledged.begin(), acknowledged.end(), events) -
                                  acknowledged.begin());
}

// sqlite3 as a child that is told statement by statement.
class Sqlite {
 public:
  explicit Sqlite(const std::string& database) {
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) throw std::runtime_error("socketpair");
    socket_ = ends[0];
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    std::string program = "sqlite3";
    std::string batch = "-batch";
    std::string path = database;
    const std::array<char*, 4> arguments = {program.data(), batch.data(), path.data(), nullptr};
    const int error = posix_spawnp(&child_, "sqlite3", &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (error != 0) child_ = -1;
  }
  ~Sqlite() {
    close(socket_);
    if (child_ > 0) waitpid(child_, nullptr, 0);
  }
  Sqlite(const Sqlite&) = delete;
  Sqlite& operator=(const Sqlite&) = delete;

  // Whether all of it was done, as far as a statement behind it tells.
  [[nodiscard]] bool done(const std::string& statements) {
    const std::string text = statements + " SELECT 'done';\n";
    if (child_ < 0 || write(socket_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) return false;
    std::string answer;
    for (char byte = 0; read(socket_, &byte, 1) == 1;) {
      if (byte != '\n') {
        answer += byte;
      } else if (answer == "done") {
        return true;
      } else {
        answer.clear();
      }
    }
    return false;
  }

 private:
  int socket_ = -1;
  pid_t child_ = -1;
};

class PowerCutTest : public testing::Test {
 protected:
  void SetUp() override {
    ASHLAR_NEEDS_MOUNTING(false);
    fs::create_directory(temp_.path() / "mnt");
    mount_ = std::make_unique<RecordedMount>(kBytes, temp_.path() / "mnt");
  }

  [[nodiscard]] std::size_t events() const { return mount_->device().event_count(); }
  [[nodiscard]] fs::path root() const { return mount_->root(); }
  [[nodiscard]] fs::path scratch() const { return temp_.path() / "state"; }
  [[nodiscard]] RecordedMount& mount() { return *mount_; }

  // Empty databases and repository, durable.
  void prepare() {
    for (const char* journal : kJournals) {
      fs::create_directory(root() / journal);
      ASSERT_TRUE(
          succeeded(run({"sqlite3", root() / journal / "db",
                         fmt::format("PRAGMA journal_mode={}; CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);"
                                     "CREATE INDEX i ON t(v); CREATE TABLE total(n); INSERT INTO total VALUES(0);",
                                     journal)})));
    }
    ASSERT_TRUE(succeeded(run({"git", "init", "-q", "-b", "main", root() / "git"})));
    for (const auto& [name, value] :
         {std::pair{"core.fsync", "all"}, {"user.name", "a"}, {"user.email", "a@b"}, {"gc.auto", "0"}}) {
      ASSERT_TRUE(succeeded(run({"git", "-C", root() / "git", "config", name, value})));
    }
    ASSERT_TRUE(succeeded(run({"git", "-C", root() / "git", "commit", "-q", "--allow-empty", "-m", "0"})));
    ASSERT_TRUE(succeeded(run({"sync", "-f", root()})));
    ASSERT_TRUE(sync_directory(root()));
  }

  // fsync of a directory: every name that was changed before is durable then, wherever it is.
  [[nodiscard]] static bool sync_directory(const fs::path& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool synced = fd >= 0 && fsync(fd) == 0;
    close(fd);
    return synced;
  }

  void use_database(const std::string& journal, Acknowledged& acknowledged) const {
    Sqlite sqlite(root() / journal / "db");
    // EXTRA: as with FULL, and the removal of a rollback journal, which is what commits, is durable too.
    if (!sqlite.done("PRAGMA synchronous=EXTRA; PRAGMA wal_autocheckpoint=30;")) return;
    for (std::size_t i = 1; i <= kTransactions; ++i) {
      const std::size_t bytes = i * 977 % 9000;
      if (!sqlite.done(fmt::format("BEGIN; INSERT INTO t VALUES({}, randomblob({}));"
                                   "UPDATE total SET n = n + 1; COMMIT;",
                                   i, bytes))) {
        return;
      }
      acknowledged.push_back(events());
    }
  }

  void use_git(Acknowledged& acknowledged) const {
    const fs::path repository = root() / "git";
    for (std::size_t i = 1; i <= kCommits; ++i) {
      fs::create_directories(repository / std::to_string(i % 3));
      std::ofstream(repository / std::to_string(i % 3) / std::to_string(i)) << std::string(i * 1000, 'x') << i;
      std::ofstream(repository / "log", std::ios::app) << "commit " << i << '\n';
      if (run({"git", "-C", repository, "add", "-A"}).exit_status != 0) return;
      if (run({"git", "-C", repository, "commit", "-q", "-m", std::to_string(i)}).exit_status != 0) return;
      // git makes objects, refs and index durable before it renames them to their names, and not the names.
      if (!sync_directory(repository / ".git")) return;
      acknowledged.push_back(events());
    }
  }

  void use_all() {
    std::atomic<std::size_t> running = 0;
    std::vector<std::thread> users;
    const auto start = [&](auto use) {
      ++running;
      users.emplace_back([&running, use] {
        use();
        --running;
      });
    };
    for (std::size_t i = 0; i < kJournals.size(); ++i) start([this, i] { use_database(kJournals[i], databases_[i]); });
    start([this] { use_git(commits_); });
    while (running > 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(30));
      EXPECT_TRUE(mount_->checkpoint());
    }
    for (std::thread& user : users) user.join();
    for (const Acknowledged& database : databases_) ASSERT_EQ(database.size(), kTransactions);
    ASSERT_EQ(commits_.size(), kCommits);
  }

  // Why the image is not what a power cut after `events` events may leave; empty: it is.
  [[nodiscard]] std::string judge(blockio::MemoryImage image, std::size_t events) const {
    fs::remove_all(scratch());
    if (std::string problem = copy_state(std::move(image)); !problem.empty()) return problem;
    for (std::size_t i = 0; i < kJournals.size(); ++i) {
      const CommandResult found = run(
          {"sqlite3", scratch() / kJournals[i] / "db",
           "PRAGMA integrity_check; SELECT count(*) = ifnull(max(id), 0) AND count(*) = (SELECT n FROM total) FROM t;"
           "SELECT count(*) FROM t;"});
      constexpr std::string_view kRight = "ok\n1\n";
      if (found.exit_status != 0 || !found.output.starts_with(kRight))
        return found.command + found.output + found.errors;
      const std::size_t rows = std::stoull(found.output.substr(kRight.size()));
      const std::size_t least = promised(databases_[i], events);
      if (rows < least) return fmt::format("{}: {} rows, {} were acknowledged", kJournals[i], rows, least);
    }
    return judge_repository(promised(commits_, events));
  }

  Acknowledged commits_;
  std::array<Acknowledged, kJournals.size()> databases_;

 private:
  [[nodiscard]] std::string judge_repository(std::size_t least) const {
    const CommandResult checked =
        run({"git", "-C", scratch() / "git", "fsck", "--full", "--strict", "--no-dangling", "--no-progress"});
    if (checked.exit_status != 0) return checked.command + ": " + checked.output + checked.errors;
    const CommandResult history = run({"git", "-C", scratch() / "git", "log", "--format=%s", "main"});
    const auto commits = static_cast<std::size_t>(std::count(history.output.begin(), history.output.end(), '\n'));
    std::string wanted;
    for (std::size_t i = commits; i > 0; --i) wanted += std::to_string(i - 1) + "\n";
    if (history.exit_status != 0 || history.output != wanted) return "git log: " + history.output + history.errors;
    if (commits - 1 < least) return fmt::format("{} commits, {} were acknowledged", commits - 1, least);
    return {};
  }

  [[nodiscard]] std::string copy_state(blockio::MemoryImage image) const {
    blockio::MemoryDevice device(std::move(image));
    const auto io = device.open_queue({});
    const auto report = fsck::check_volume(device, **io, {});
    if (!report) return "fsck: " + report.error().message();
    for (const fsck::Finding& finding : report->findings()) {
      // One of two copies may well be torn: that is what two are for.
      if (fsck::kind_of(finding.id).severity > fsck::Severity::healable) return "fsck: " + finding.text;
    }
    volume::VolumeOptions options;
    options.store.background = false;
    auto volume = volume::Volume::open(device, **io, options);
    if (!volume) return "mount: " + volume.error().message();
    volume::Context context{**io, {1, 0}, 0, 0};
    const Status copied = copy_out(**volume, context, scratch());
    return copied ? std::string() : "reading: " + copied.error().message();
  }

  TempDir temp_;
  std::unique_ptr<RecordedMount> mount_;
};

TEST_F(PowerCutTest, SqliteAndGitKeepWhatTheyAcknowledged) {
  ASSERT_NO_FATAL_FAILURE(prepare());
  const std::size_t first = events();
  ASSERT_NO_FATAL_FAILURE(use_all());
  const Status unmounted = mount().unmount();
  ASSERT_TRUE(unmounted) << unmounted.error().message();
  const std::size_t last = events();
  EXPECT_EQ(judge(mount().device().contents(), last), "") << "after the unmount";

  Acknowledged all = commits_;
  for (const Acknowledged& database : databases_) all.insert(all.end(), database.begin(), database.end());
  const std::uint64_t seed = crash_test::first_seed();
  std::mt19937_64 random(seed);
  const std::uint64_t states = crash_test::scaled(kStates, kStates);
  for (std::uint64_t i = 0; i < states; ++i) {
    // Every other one just when something was acknowledged, where there is nothing to spare.
    const std::size_t cut = i % 2 == 0 ? first + random() % (last - first + 1) : all[random() % all.size()];
    switch (i / 2 % 3) {
      case 0:
        ASSERT_EQ(judge(mount().device().after_power_cut(cut), cut), "") << "all written up to event " << cut;
        break;
      case 1:
        ASSERT_EQ(judge(mount().device().after_power_cut(cut, &random), cut), "")
            << "some lost or torn up to event " << cut << ", seed " << seed << ", state " << i;
        break;
      default:
        ASSERT_EQ(judge(mount().device().during_last(cut, random), cut - 1), "")
            << "during event " << cut << ", seed " << seed << ", state " << i;
    }
  }
  std::cout << "    " << states << " states of " << last - first << " events; " << all.size() << " acknowledgements\n";
}

}  // namespace
}  // namespace ashlar::mount_test
