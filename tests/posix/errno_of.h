// What a system call that returns -1 on failure failed with.
#pragma once

#include <cerrno>

// 0, or the errno that the call left: ERRNO_OF(mkdir(path, mode)).
#define ERRNO_OF(call) ((call) == -1 ? errno : 0)
