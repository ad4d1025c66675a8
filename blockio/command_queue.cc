#include "blockio/command_queue.h"

#include "blockio/device_queue.h"
#include "blockio/request_check.h"

namespace ashlar::blockio {
namespace {

// Of no size: every transfer is beyond it.
constexpr Geometry kNoDevice{};

}  // namespace

Result<std::unique_ptr<IoQueue>> open_command_queue(QueueConfig config) {
  TRY(check_depth(config.depth));
  config.engine = EngineChoice::io_uring;
  OpenedEngine opened = TRY(open_uring_engine(-1, config));
  DeviceQueueSetup setup;
  setup.selection = std::move(opened.selection);
  setup.selection.reason = "it alone has commands";
  if (config.wakeable) setup.waker = TRY(Waker::create());
  return std::make_unique<DeviceQueue>(std::move(opened.engine), kNoDevice, std::move(setup));
}

}  // namespace ashlar::blockio
