// System calls that fail as a seccomp filter wants, such as a container's; and children to try that in.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <functional>
#include <iterator>
#include <optional>
#include <string>

namespace ashlar::testing {

// An argument of a system call, from 0, and the 32-bit value that it has.
struct CallArgument {
  unsigned index = 0;
  unsigned value = 0;
};

// Lets every system call but this through; that fails with `error`, where one is named only with that argument. For
// good and for the whole of a thread's future, so only in a child. False: the filter could not be set up.
[[nodiscard]] inline bool refuse(long call, unsigned error, std::optional<CallArgument> only = std::nullopt) {
  const auto number = static_cast<unsigned>(call);
  const CallArgument argument = only.value_or(CallArgument{});
  const auto place = static_cast<unsigned>(offsetof(seccomp_data, args) + argument.index * sizeof(__u64));
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, place),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, argument.value, 0, static_cast<__u8>(only ? 1 : 0)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{std::size(filter), filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// Runs `body` in a child, which may spoil itself and is ended when it hangs; its complaint, empty when there was none.
inline std::string in_child(const std::function<std::string()>& body) {
  constexpr unsigned kMostSeconds = 60;
  int ends[2];
  if (pipe(ends) != 0) return "pipe";
  const pid_t child = fork();
  if (child == 0) {
    alarm(kMostSeconds);
    const std::string complaint = body();
    const bool told = ::write(ends[1], complaint.data(), complaint.size()) == static_cast<ssize_t>(complaint.size());
    _exit(told ? 0 : 1);
  }
  ::close(ends[1]);
  std::string complaint;
  char buffer[512];
  for (ssize_t got = 0; (got = ::read(ends[0], buffer, sizeof(buffer))) > 0;) {
    complaint.append(buffer, static_cast<std::size_t>(got));
  }
  ::close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) complaint += " child's status " + std::to_string(status);
  return complaint;
}

}  // namespace ashlar::testing
