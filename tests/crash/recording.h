// A workload run on a device that remembers.
#pragma once

#include <memory>

#include "blockio/recording_device.h"
#include "tests/crash/session.h"
#include "tests/crash/workloads.h"

namespace ashlar::crash_test {

struct Recording {
  explicit Recording(const Workload& workload, std::uint64_t seed)
      : device(formatted(workload.geometry)), session(device, options(seed)), may_lack_space(workload.may_lack_space) {
    if (session.open()) workload.run(session);
  }

  // What went wrong without any crash; empty: nothing.
  [[nodiscard]] std::string problem() const {
    for (const auto& [what, code] : session.failures()) {
      if (!may_lack_space || code != ErrorCode::no_space) return what;
    }
    return session.contradiction();
  }

  blockio::RecordingDevice device;
  Session session;
  bool may_lack_space;

 private:
  [[nodiscard]] Session::Options options(std::uint64_t seed) {
    Session::Options options;
    options.events = [this] { return device.event_count(); };
    options.seed = seed;
    options.look = seed % 2 == 1;
    return options;
  }
};

}  // namespace ashlar::crash_test
