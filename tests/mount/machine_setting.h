// A setting of the whole machine that tests change while they run.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>

namespace ashlar::mount_test {

// From construction to destruction its owner may change the setting, as others may, in other processes too. The last of
// them puts back what the first found, also when it is killed.
class MachineSetting {
 public:
  // `setting`: a file of one word. `users`: one in which they all note what was there before; made if need be.
  MachineSetting(std::filesystem::path setting, const std::filesystem::path& users);
  ~MachineSetting();
  MachineSetting(const MachineSetting&) = delete;
  MachineSetting& operator=(const MachineSetting&) = delete;

  // Whether the machine has it at all.
  [[nodiscard]] bool exists() const { return !value().empty(); }
  [[nodiscard]] std::string value() const;
  void set(const std::string& value) const;

 private:
  // `users`: a descriptor of the file. Each user has a shared lock of it; who has it exclusively is alone.
  void join(int users) const;
  void leave(int users) const;
  [[noreturn]] void guard(int owner, int users) const;

  std::filesystem::path setting_;
  pid_t guard_ = -1;  // a process that leaves when the owner lets go of hold_, or is gone
  int hold_ = -1;
};

}  // namespace ashlar::mount_test
