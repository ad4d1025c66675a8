// Commands of a ring to a file that is not the queue's device: here to a socket, which tells how much there is to read.
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "blockio/command_queue.h"
#include "tests/blockio/policy_rig.h"
#include "tests/blockio/rig.h"

namespace ashlar::blockio::testing {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kBytesToRead = 0;  // SOCKET_URING_OP_SIOCINQ, Linux 6.7

// Two datagram sockets of the loopback interface.
class Sockets {
 public:
  Sockets() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const plain = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(reader_, plain, size), 0);
    EXPECT_EQ(::getsockname(reader_, plain, &size), 0);
    EXPECT_EQ(::connect(writer_, plain, size), 0);
  }
  ~Sockets() {
    ::close(reader_);
    ::close(writer_);
  }
  Sockets(const Sockets&) = delete;
  Sockets& operator=(const Sockets&) = delete;

  [[nodiscard]] int reader() const { return reader_; }
  void write(std::string_view text) const {
    EXPECT_EQ(::write(writer_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    pollfd arrival{reader_, POLLIN, 0};
    EXPECT_EQ(::poll(&arrival, 1, -1), 1);
  }

 private:
  int reader_ = ::socket(AF_INET, SOCK_DGRAM, 0);
  int writer_ = ::socket(AF_INET, SOCK_DGRAM, 0);
};

class Commands : public ::testing::Test {
 protected:
  [[nodiscard]] QueueConfig config() const {
    QueueConfig config;
    config.commands_to = sockets.reader();
    return config;
  }
  // Whether this kernel's sockets know the command.
  static bool known(const IoOp& op) { return op.answer != -EOPNOTSUPP; }

  Sockets sockets;
  Rig rig{Subject::io_uring};
  AlignedBuffer data{kBlock};
  IoOp ask = IoOp::command(kBytesToRead, {});
};

#define SKIP_UNLESS_KNOWN(op) \
  if (!known(op)) GTEST_SKIP() << "sockets of this kernel take no commands"

TEST_F(Commands, TheOtherFileAnswers) {
  const auto queue = rig.queue(config());
  ASSERT_TRUE(queue->takes_commands()) << queue->selection().dropped;
  const Status status = queue->run(ask);
  SKIP_UNLESS_KNOWN(ask);
  EXPECT_TRUE(status);
  EXPECT_EQ(ask.answer, 0);
  sockets.write("five!");
  EXPECT_TRUE(queue->run(ask));
  EXPECT_EQ(ask.answer, 5);
}

TEST_F(Commands, SoItDoesWithoutRegisteredFiles) {
  QueueConfig unregistered = config();
  unregistered.register_file = false;
  const auto queue = rig.queue(unregistered);
  sockets.write("two");
  static_cast<void>(queue->run(ask));
  SKIP_UNLESS_KNOWN(ask);
  EXPECT_EQ(ask.answer, 3);
}

TEST_F(Commands, AnErrnoIsTheFilesAnswer) {
  const auto queue = rig.queue(config());
  IoOp nonsense = IoOp::command(0xffffU, {});
  EXPECT_EQ(queue->run(nonsense).error().code(), ErrorCode::not_supported);
  EXPECT_EQ(nonsense.answer, -EOPNOTSUPP);
}

TEST_F(Commands, GoBesideTransfersOfTheDevice) {
  const auto queue = rig.queue(config());
  const AlignedBuffer written = pattern(kBlock, 7);
  IoOp write = IoOp::write(kBlock, written.span());
  ASSERT_TRUE(queue->run(write));
  sockets.write("x");
  IoOp read = IoOp::read(kBlock, data.span());
  std::array<IoOp*, 2> both{&read, &ask};
  static_cast<void>(queue->run(both));
  EXPECT_TRUE(read.ok());
  EXPECT_TRUE(same(data.span(), written.span()));
  SKIP_UNLESS_KNOWN(ask);
  EXPECT_EQ(ask.answer, 1);
}

TEST_F(Commands, StatisticsAreTheDevicesAlone) {
  const auto queue = rig.queue(config());
  IoOp read = IoOp::read(0, data.span());
  ASSERT_TRUE(queue->run(read));
  static_cast<void>(queue->run(ask));
  const QueueStatistics& figures = queue->statistics();
  EXPECT_EQ(figures.of(OpKind::command).completed.get(), 0U);
  EXPECT_EQ(figures.steps.get(), 1U);
  EXPECT_EQ(figures.slots_taken.get(), 1U);
}

TEST_F(Commands, TooManyBytesAreRefused) {
  const auto queue = rig.queue(config());
  const std::array<std::byte, kMaxCommand + 1> bytes{};
  IoOp command = IoOp::command(kBytesToRead, bytes);
  EXPECT_EQ(queue->run(command).error().code(), ErrorCode::invalid_argument);
}

TEST_F(Commands, AnotherDepthKeepsTheFile) {
  const auto queue = rig.queue(config());
  ASSERT_TRUE(queue->resize(3));
  EXPECT_TRUE(queue->takes_commands());
  sockets.write("four");
  static_cast<void>(queue->run(ask));
  SKIP_UNLESS_KNOWN(ask);
  EXPECT_EQ(ask.answer, 4);
}

TEST_F(Commands, NeedNoDevice) {
  Result<std::unique_ptr<IoQueue>> queue = open_command_queue(config());
  ASSERT_TRUE(queue) << queue.error().message();
  IoOp read = IoOp::read(0, data.span());
  EXPECT_EQ((*queue)->run(read).error().code(), ErrorCode::beyond_device);
  sockets.write("six");
  static_cast<void>((*queue)->run(ask));
  SKIP_UNLESS_KNOWN(ask);
  EXPECT_EQ(ask.answer, 3);
}

TEST_F(Commands, AioHasNone) {
  Rig aio(Subject::aio);
  const auto queue = aio.queue(config());
  EXPECT_FALSE(queue->takes_commands());
  EXPECT_EQ(queue->run(ask).error().code(), ErrorCode::not_supported);
  EXPECT_EQ(ask.answer, 0) << "nobody answered";
}

TEST_F(Policy, ACommandIsNeverRepeated) {
  answer({error(EAGAIN)});
  IoOp command = IoOp::command(kBytesToRead, {});
  EXPECT_EQ(queue->run(command).error().code(), ErrorCode::try_again);
  EXPECT_EQ(command.answer, -EAGAIN);
  EXPECT_EQ(engine->started.size(), 1U);
}

TEST_F(Policy, TransfersDoNotWaitForACommand) {
  answer({kHang});
  IoOp command = IoOp::command(kBytesToRead, {});
  submit(command);
  AlignedBuffer data(kBlock);
  IoOp read = IoOp::read(0, data.span());
  EXPECT_TRUE(queue->run(read));
  EXPECT_FALSE(command.done());
  engine->release();
  EXPECT_EQ(queue->wait(1), 1U);
  EXPECT_TRUE(command.ok());
}

TEST_F(Policy, ACommandsDeadlineAsksAndWaits) {
  answer({kHang});
  engine->can_cancel = false;
  IoOp command = IoOp::command(kBytesToRead, {});
  command.deadline = 1ms;
  submit(command);
  EXPECT_EQ(queue->wait(1, 20ms), 0U);
  EXPECT_FALSE(command.done());
  engine->release();
  EXPECT_EQ(queue->wait(1), 1U);
  EXPECT_TRUE(command.ok()) << "it ended as its file ended it";
}

class CommandsNowhere : public OnEveryDevice {};

TEST_P(CommandsNowhere, AreRefused) {
  const auto queue = rig.queue();
  EXPECT_FALSE(queue->takes_commands());
  IoOp command = IoOp::command(kBytesToRead, {});
  EXPECT_EQ(queue->run(command).error().code(), ErrorCode::not_supported);
}

INSTANTIATE_TEST_SUITE_P(Devices, CommandsNowhere, every_subject(), subject_name);

}  // namespace
}  // namespace ashlar::blockio::testing
