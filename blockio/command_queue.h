// A queue without a device, for commands alone.
#pragma once

#include <memory>

#include "blockio/io_queue.h"
#include "fs/base/result.h"

namespace ashlar::blockio {

// Of io_uring, whatever the configuration's engine; takes_commands() where its commands_to is a file that does. What is
// for a device fails.
[[nodiscard]] Result<std::unique_ptr<IoQueue>> open_command_queue(QueueConfig config);

}  // namespace ashlar::blockio
