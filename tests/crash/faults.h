// What the tests of failing devices share.
#pragma once

#include "blockio/memory_device.h"
#include "tests/crash/session.h"

namespace ashlar::crash_test {

// Everything once, small, with each kind of sync.
void mixed(Session& session);

// Of the faulty device only what the operations need is read.
[[nodiscard]] Session::Options fault_options(std::uint64_t seed);

// After the run the device works again: mounted, it must show a state that the promises allow. A test failure when not.
void expect_promises(const blockio::MemoryImage& image, const Session& session);

}  // namespace ashlar::crash_test
