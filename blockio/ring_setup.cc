#include "blockio/ring_setup.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "blockio/io_queue.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ASHLAR_THREAD_SANITIZER
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define ASHLAR_THREAD_SANITIZER
#endif
#if defined(ASHLAR_THREAD_SANITIZER)
#include <sanitizer/tsan_interface.h>
#endif

namespace ashlar::blockio {
namespace {

// liburing maps and unmaps by bare system calls, which ThreadSanitizer does not see: to it a new ring where an old one
// was is the same memory. So it is told that whoever makes a ring comes after whoever ended one.
#if defined(ASHLAR_THREAD_SANITIZER)
char ring_memory;
void note_ring_memory_freed() noexcept { __tsan_release(&ring_memory); }
void note_ring_memory_used() noexcept { __tsan_acquire(&ring_memory); }
#else
void note_ring_memory_freed() noexcept {}
void note_ring_memory_used() noexcept {}
#endif

struct SetupFlag {
  unsigned flag;
  const char* name;
  bool told;  // part of the description of a ring
};

// By the kernel that brought them, youngest first: the order in which they are given up.
constexpr std::array kOptionalFlags = {
    SetupFlag{IORING_SETUP_DEFER_TASKRUN, "defer_taskrun", true},
    SetupFlag{IORING_SETUP_SINGLE_ISSUER, "single_issuer", true},
    SetupFlag{IORING_SETUP_SQE128, "commands", true},
    SetupFlag{IORING_SETUP_COOP_TASKRUN, "coop_taskrun", true},
    SetupFlag{IORING_SETUP_SUBMIT_ALL, "submit_all", false},
    SetupFlag{IORING_SETUP_R_DISABLED, "start_disabled", false},
    SetupFlag{IORING_SETUP_ATTACH_WQ, "shared_workers", true},
    SetupFlag{IORING_SETUP_CLAMP, "clamp", false},
    SetupFlag{IORING_SETUP_SQ_AFF, "submission_cpu", false},
    SetupFlag{IORING_SETUP_SQPOLL, "submission_thread", true},
    SetupFlag{IORING_SETUP_IOPOLL, "poll_device", true},
};

struct Feature {
  unsigned bit;
  const char* name;
};
constexpr std::array kRequiredFeatures = {
    Feature{IORING_FEAT_NODROP, "completions are never dropped (Linux 5.5)"},
    Feature{IORING_FEAT_EXT_ARG, "waiting with a time limit (Linux 5.11)"},
};

unsigned wanted_flags(const QueueConfig& config) {
  unsigned flags = IORING_SETUP_SUBMIT_ALL;
  if (config.clamp) flags |= IORING_SETUP_CLAMP;
  if (config.commands_to >= 0) flags |= IORING_SETUP_SQE128;
  if (config.start_disabled) flags |= IORING_SETUP_R_DISABLED;
  if (config.single_issuer) flags |= IORING_SETUP_SINGLE_ISSUER;
  if (config.share_workers_with != nullptr && config.share_workers_with->ring_descriptor() >= 0) {
    flags |= IORING_SETUP_ATTACH_WQ;
  }
  if (config.poll_device != Wish::no) flags |= IORING_SETUP_IOPOLL;
  if (config.submission_thread != Wish::no) {
    // The kernel's thread processes completions then, so where ours would is no question.
    flags |= IORING_SETUP_SQPOLL;
    if (config.submission_cpu) flags |= IORING_SETUP_SQ_AFF;
    return flags;
  }
  if (config.defer_taskrun && config.single_issuer) {
    flags |= IORING_SETUP_DEFER_TASKRUN;
  }
  if (config.coop_taskrun) flags |= IORING_SETUP_COOP_TASKRUN;
  return flags;
}

unsigned required_flags(const QueueConfig& config) {
  unsigned flags = 0;
  if (config.submission_thread == Wish::required) flags |= IORING_SETUP_SQPOLL;
  if (config.poll_device == Wish::required) flags |= IORING_SETUP_IOPOLL;
  return flags;
}

io_uring_params parameters_of(const QueueConfig& config, unsigned flags) {
  io_uring_params parameters{};
  parameters.flags = flags | IORING_SETUP_CQSIZE;
  // All operations, the watch on the waker and the answers to a cancellation of each find room, so that no completion
  // has to wait for it in the kernel.
  parameters.cq_entries = std::max(config.completion_entries, 2 * (config.depth + 1));
  if ((flags & IORING_SETUP_SQPOLL) != 0) {
    parameters.sq_thread_idle = static_cast<unsigned>(std::max<std::int64_t>(config.submission_idle.count(), 0));
    if ((flags & IORING_SETUP_SQ_AFF) != 0) parameters.sq_thread_cpu = *config.submission_cpu;
  }
  if ((flags & IORING_SETUP_ATTACH_WQ) != 0) {
    parameters.wq_fd = static_cast<unsigned>(config.share_workers_with->ring_descriptor());
  }
  return parameters;
}

// The flag to do without after `error`; null when there is none left or it would not help.
const SetupFlag* flag_to_drop(unsigned flags, unsigned required, int error) {
  const bool thread_refused = error == EPERM && (flags & IORING_SETUP_SQPOLL) != 0;  // kernels before 5.11
  if (error != EINVAL && !thread_refused) return nullptr;
  for (const SetupFlag& candidate : kOptionalFlags) {
    if ((flags & candidate.flag) == 0 || (required & candidate.flag) != 0) continue;
    if (thread_refused && candidate.flag != IORING_SETUP_SQPOLL) continue;
    return &candidate;
  }
  return nullptr;
}

const char* hint_at(int error) {
  switch (error) {
    case EPERM: return " (kernel.io_uring_disabled, or a seccomp filter such as a container's)";
    case ENOSYS: return " (the kernel has no io_uring, or a seccomp filter hides it)";
    case ENOMEM: return " (raise RLIMIT_MEMLOCK)";
    case EMFILE:
    case ENFILE: return " (raise RLIMIT_NOFILE)";
    default: return "";
  }
}

std::string names_of(unsigned flags) {
  std::string names;
  for (const SetupFlag& known : kOptionalFlags) {
    if ((flags & known.flag) == 0 || !known.told) continue;
    if (!names.empty()) names += ',';
    names += known.name;
  }
  return names.empty() ? "none" : names;
}

}  // namespace

Error refusal_of(const char* call, int error) {
  return {from_errno(error), fmt::format("{}: {}{}", call, std::strerror(error), hint_at(error))};
}

Result<RingOutcome> set_up_ring(io_uring& ring, const QueueConfig& config) {
  const unsigned required = required_flags(config);
  RingOutcome outcome;
  outcome.flags = wanted_flags(config);
  std::string dropped;
  int first_error = 0;
  for (;;) {
    io_uring_params parameters = parameters_of(config, outcome.flags);
    const int error = -io_uring_queue_init_params(config.depth, &ring, &parameters);
    if (error == 0) {
      for (const Feature& feature : kRequiredFeatures) {
        if ((parameters.features & feature.bit) != 0) continue;
        tear_down_ring(ring);
        return fail(ErrorCode::not_supported, fmt::format("this kernel's io_uring lacks: {}", feature.name));
      }
      break;
    }
    if (first_error == 0) first_error = error;
    const SetupFlag* const given_up = flag_to_drop(outcome.flags, required, error);
    if (given_up == nullptr) return fail(refusal_of("io_uring_setup", first_error));
    outcome.flags &= ~given_up->flag;
    if (given_up->flag == IORING_SETUP_SQPOLL) outcome.flags &= ~unsigned{IORING_SETUP_SQ_AFF};
    dropped += fmt::format("{}{}", dropped.empty() ? "" : ",", given_up->name);
  }
  note_ring_memory_used();
  outcome.names = names_of(outcome.flags);
  if (!dropped.empty()) outcome.dropped = fmt::format("{} ({})", dropped, std::strerror(first_error));
  return outcome;
}

void tear_down_ring(io_uring& ring) noexcept {
  note_ring_memory_freed();
  io_uring_queue_exit(&ring);
}

}  // namespace ashlar::blockio
