// The daemon's command line and -o lists.
#include "fs/daemon/options.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <initializer_list>
#include <string>
#include <vector>

namespace ashlar::daemon {
namespace {

using testing::Contains;
using testing::HasSubstr;

CommandLine parse_as(const std::string& program, std::initializer_list<std::string> words) {
  std::vector<std::string> text{program};
  text.insert(text.end(), words);
  std::vector<char*> arguments;
  for (std::string& word : text) arguments.push_back(word.data());
  return parse_command_line(static_cast<int>(arguments.size()), arguments.data());
}

CommandLine parse(std::initializer_list<std::string> words) { return parse_as("ashlarfs", words); }

MountRequest parsed_list(std::string_view list) {
  MountRequest request;
  const Status status = parse_option_list(list, request);
  EXPECT_TRUE(status) << status.error().message();
  return request;
}

TEST(OptionList, TakesWhatBelongsToTheDaemon) {
  const MountRequest request = parsed_list(
      "ro,io_engine=aio,fuse_transport=dev,commit=30,cache=64M,offset=1m,threads=3,norecovery,nodatacow,discard,"
      "errors=remount-ro");
  EXPECT_TRUE(request.read_only);
  EXPECT_TRUE(request.skip_log);
  EXPECT_TRUE(request.no_copy_on_write);
  EXPECT_TRUE(request.discard);
  EXPECT_EQ(request.engine, blockio::EngineChoice::aio);
  EXPECT_EQ(request.transport, fuse::TransportChoice::dev);
  EXPECT_EQ(request.commit_interval, std::chrono::seconds(30));
  EXPECT_EQ(request.cache_bytes, 64U << 20);
  EXPECT_EQ(request.offset, 1U << 20);
  EXPECT_EQ(request.threads, 3U);
}

TEST(OptionList, LowLatency) {
  EXPECT_FALSE(parsed_list("").low_latency);
  EXPECT_TRUE(parsed_list("low_latency").low_latency);
  EXPECT_FALSE(parsed_list("low_latency,nolow_latency").low_latency);
}

TEST(OptionList, HandsOnWhatBelongsToTheKernel) {
  const MountRequest request = parsed_list("nodev,noexec,noatime");
  EXPECT_THAT(request.kernel_options, testing::ElementsAre("nodev", "noexec", "noatime"));
}

TEST(OptionList, AccessTimes) {
  using volume::AccessTimes;
  EXPECT_EQ(parsed_list("").access_times, AccessTimes::never);
  EXPECT_EQ(parsed_list("defaults,atime,diratime").access_times, AccessTimes::never);
  EXPECT_EQ(parsed_list("relatime").access_times, AccessTimes::relative);
  EXPECT_EQ(parsed_list("relatime,strictatime,lazytime").access_times, AccessTimes::always);
  EXPECT_EQ(parsed_list("strictatime,noatime").access_times, AccessTimes::never);
  EXPECT_EQ(parsed_list("strictatime,nostrictatime").access_times, AccessTimes::never);
  EXPECT_EQ(parsed_list("relatime,norelatime").access_times, AccessTimes::never);
  EXPECT_TRUE(parsed_list("relatime,nodiratime").no_directory_access_times);
  EXPECT_FALSE(parsed_list("nodiratime,diratime").no_directory_access_times);
}

TEST(OptionList, ToleratesWhatFstabHandsOver) {
  const MountRequest request = parsed_list(
      "defaults,_netdev,nofail,noauto,user,x-systemd.device-timeout=9,x-a=b=c,uhelper=udisks2,,"
      "strictatime,nostrictatime,norelatime,lazytime,nolazytime,silent,nomand,acl,user_xattr");
  EXPECT_TRUE(request.kernel_options.empty());
  EXPECT_FALSE(request.read_only);
}

// As mount(8) hands over what the kernel says of a mount, and what is to be different.
TEST(OptionList, Remounting) {
  EXPECT_FALSE(parsed_list("rw").remount);
  const MountRequest request =
      parsed_list("rw,relatime,remount,ro,nosuid,user_id=0,group_id=0,default_permissions,allow_other,dev");
  EXPECT_TRUE(request.remount);
  EXPECT_TRUE(request.read_only);
  EXPECT_THAT(request.kernel_options, testing::ElementsAre("nosuid", "allow_other", "dev"));
}

TEST(OptionList, TheLastWordCounts) {
  EXPECT_FALSE(parsed_list("ro,rw").read_only);
  EXPECT_FALSE(parsed_list("discard,nodiscard").discard);
  EXPECT_TRUE(parsed_list("rw,ro").read_only);
}

class RefusedOption : public testing::TestWithParam<const char*> {};

TEST_P(RefusedOption, IsNamed) {
  const std::string option = GetParam();
  MountRequest request;
  const Status status = parse_option_list("nodev," + option, request);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), ErrorCode::invalid_argument);
  EXPECT_THAT(status.error().message(), HasSubstr(option.substr(0, option.find('='))));
}

INSTANTIATE_TEST_SUITE_P(All, RefusedOption,
                         testing::Values("bogus", "bogus=1", "io_engine=posix", "fuse_transport=splice", "commit=0",
                                         "commit=3601", "commit=5s", "commit=", "cache=1M", "cache=5X",
                                         "cache=99999999999T", "cache=-1", "offset=", "offset=99999999999999999999999",
                                         "threads=0", "threads=65", "errors=ignore",
                                         "nosymfollow"));  // libfuse does not know it

TEST(OptionList, AValueThatIsMissingIsAskedFor) {
  for (const char* option : {"io_engine", "fuse_transport", "commit", "cache", "offset", "threads", "errors"}) {
    MountRequest request;
    const Status status = parse_option_list(option, request);
    ASSERT_FALSE(status);
    EXPECT_THAT(status.error().message(), HasSubstr(std::string(option) + " needs a value")) << option;
  }
}

TEST(OptionList, ErrorPolicies) {
  EXPECT_EQ(parsed_list("ro").on_failure, OnFailure::remount_read_only);
  EXPECT_EQ(parsed_list("errors=panic").on_failure, OnFailure::panic);
  EXPECT_EQ(parsed_list("errors=panic,errors=continue").on_failure, OnFailure::carry_on);
}

TEST(CommandLine, NeedsDeviceAndMountPoint) {
  for (const CommandLine& command : {parse({}), parse({"image"})}) {
    EXPECT_FALSE(command.run);
    EXPECT_NE(command.exit_status, 0);
    EXPECT_THAT(command.text, HasSubstr("ashlarfs --help"));
  }
}

TEST(CommandLine, UnderstandsWhatMountHandsOver) {
  const CommandLine command = parse({"image", "dir", "-s", "-n", "-v", "-o", "rw,nodev"});
  ASSERT_TRUE(command.run) << command.text;
  EXPECT_EQ(command.request.device, "image");
  EXPECT_EQ(command.request.mount_point, "dir");
  EXPECT_TRUE(command.request.verbose);
  EXPECT_FALSE(command.request.foreground);
  EXPECT_THAT(command.request.kernel_options, Contains("nodev"));
}

// mount(8) has -f for --fake, and hands it on.
TEST(CommandLine, AsAHelperMayBeToldToMountNothing) {
  const CommandLine fake = parse_as("/sbin/mount.ashlarfs", {"image", "dir", "-f", "-o", "ro"});
  EXPECT_FALSE(fake.run);
  EXPECT_EQ(fake.exit_status, 0);
  EXPECT_EQ(fake.text, "");
  EXPECT_EQ(parse_as("mount.ashlarfs", {"image", "dir", "-f", "-o", "bogus"}).exit_status, 1);
  EXPECT_TRUE(parse_as("mount.ashlarfs", {"image", "dir", "--foreground"}).request.foreground);
  EXPECT_TRUE(parse({"image", "dir", "-f"}).request.foreground);
}

TEST(CommandLine, TakesSeveralLists) {
  const CommandLine command = parse({"-o", "ro", "-o", "threads=2", "image", "dir"});
  ASSERT_TRUE(command.run) << command.text;
  EXPECT_TRUE(command.request.read_only);
  EXPECT_EQ(command.request.threads, 2U);
}

TEST(CommandLine, TheLastWordOnWritingCounts) {
  const auto read_only = [](std::initializer_list<std::string> words) {
    const CommandLine command = parse(words);
    EXPECT_TRUE(command.run) << command.text;
    return command.request.read_only;
  };
  EXPECT_TRUE(read_only({"image", "dir", "-r"}));
  EXPECT_TRUE(read_only({"-r", "image", "dir"}));
  EXPECT_FALSE(read_only({"image", "dir", "-w"}));
  EXPECT_FALSE(read_only({"image", "dir", "-o", "ro", "-w"}));
  EXPECT_TRUE(read_only({"image", "dir", "-w", "-o", "ro"}));
  EXPECT_FALSE(read_only({"image", "dir", "-r", "-o", "nodev,rw"}));
  EXPECT_TRUE(read_only({"image", "dir", "-o", "rw", "-r", "-o", "nodev"}));
  EXPECT_FALSE(read_only({"-o", "ro", "image", "-r", "-o", "nosuid", "-w", "dir"}));
  EXPECT_TRUE(read_only({"-r", "-w", "-r", "image", "dir"}));
}

TEST(CommandLine, NamesDeviceAndOptionInOneLine) {
  const CommandLine command = parse({"image", "dir", "-o", "bogus"});
  EXPECT_FALSE(command.run);
  EXPECT_EQ(command.exit_status, 1);
  EXPECT_THAT(command.text, HasSubstr("image"));
  EXPECT_THAT(command.text, HasSubstr("bogus"));
  EXPECT_EQ(command.text.find('\n'), command.text.size() - 1);
}

TEST(CommandLine, SkippingTheLogNeedsReadOnly) {
  EXPECT_FALSE(parse({"image", "dir", "-o", "norecovery"}).run);
  EXPECT_TRUE(parse({"image", "dir", "-o", "norecovery,ro"}).run);
}

TEST(CommandLine, HelpAndVersionSucceed) {
  const CommandLine help = parse({"--help"});
  EXPECT_FALSE(help.run);
  EXPECT_EQ(help.exit_status, 0);
  EXPECT_THAT(help.text, HasSubstr("io_engine"));
  const CommandLine version = parse({"--version"});
  EXPECT_FALSE(version.run);
  EXPECT_EQ(version.exit_status, 0);
  EXPECT_THAT(version.text, HasSubstr("ashlarfs "));
}

TEST(CommandLine, AVolumeOfRootsIsForEverybody) {
  const CommandLine command = parse({"image", "dir", "-o", "nodev"});
  ASSERT_TRUE(command.run) << command.text;
  if (geteuid() == 0) {  // what was asked for comes after the defaults, so it wins
    EXPECT_THAT(command.request.kernel_options, testing::ElementsAre("dev", "suid", "allow_other", "nodev"));
  } else {
    EXPECT_THAT(command.request.kernel_options, testing::ElementsAre("nodev"));
  }
}

}  // namespace
}  // namespace ashlar::daemon
