// What records of the log name and only memory holds yet, as the log's writer sees it.
#pragma once

#include <optional>

#include "blockio/io_op.h"
#include "fs/base/result.h"

namespace ashlar::store {

class GatheredData {
 public:
  virtual ~GatheredData() = default;

  // Returns, when what others were writing of it has completed, the write of the rest as it was at the call; nothing
  // when there is none. The caller runs that and then calls end_write(), before anybody begins again. The memory is
  // the callee's. Any thread. An error means that data is lost for which there may be records.
  [[nodiscard]] virtual Result<std::optional<blockio::IoOp>> begin_write() = 0;
  virtual void end_write(const blockio::IoOp& write) = 0;
};

}  // namespace ashlar::store
