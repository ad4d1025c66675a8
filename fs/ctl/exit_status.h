// Exit statuses that several commands share.
#pragma once

namespace ashlar::ctl {

inline constexpr int kSomeFailed = 1;     // of several files
inline constexpr int kStoppedEarly = 32;  // by a signal, as fsck(8) has it

}  // namespace ashlar::ctl
