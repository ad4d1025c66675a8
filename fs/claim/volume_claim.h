// Keeps two hosts from writing to one volume. Method: multi-mount protection of ext4.
//
// Who wants to write looks at the claim in the volume's head (fs/format/host_claim.h), waits whether its holder still
// rewrites it, writes its own, waits whether it stays, and rewrites it from then on. Within one host the device's locks
// do that; nobody waits for a claim that this host left behind when its daemon was killed.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "blockio/aligned_buffer.h"
#include "blockio/block_device.h"
#include "fs/base/result.h"
#include "fs/claim/claim_options.h"
#include "fs/format/host_claim.h"
#include "fs/format/superblock.h"

namespace ashlar::claim {

// One caller takes and releases it; a thread of its own rewrites it meanwhile.
class VolumeClaim {
 public:
  // Null when the volume knows no claims. Takes two to seven seconds with the usual interval, no time where this host
  // had it last. busy: another host has it. What was read of the volume before may have changed meanwhile.
  [[nodiscard]] static Result<std::unique_ptr<VolumeClaim>> take(blockio::IoQueue& io,
                                                                 const format::Superblock& superblock,
                                                                 const ClaimOptions& options);
  // Without release() the claim stays on the device, as after a crash.
  ~VolumeClaim();
  VolumeClaim(const VolumeClaim&) = delete;
  VolumeClaim& operator=(const VolumeClaim&) = delete;

  // Runs once, on the claim's thread, when the volume may be another's: nothing may be written to it any more.
  using Lost = std::function<void(std::string why)>;
  // Rewrites it from now on; to be called at once, and once. The device outlives the claim.
  [[nodiscard]] Status keep(blockio::BlockDevice& device, Lost lost);

  // The volume is nobody's when this returns ok. busy: it is another's.
  [[nodiscard]] Status release(blockio::IoQueue& io);

 private:
  VolumeClaim(const format::Superblock& superblock, const ClaimOptions& options);

  // Waits until the volume is known to be nobody's.
  [[nodiscard]] Status wait_for_holder(blockio::IoQueue& io);
  [[nodiscard]] Status read(blockio::IoQueue& io, blockio::AlignedBuffer& into);
  [[nodiscard]] Status write_next(blockio::IoQueue& io);
  // busy when the claim on the device is not the one written last.
  [[nodiscard]] Status check_unchanged(blockio::IoQueue& io);
  [[nodiscard]] Status renew(blockio::IoQueue& io);
  void run(blockio::IoQueue& io);
  void stop_thread();

  const ClaimOptions options_;
  Lost lost_;
  format::HostClaim claim_{};       // as it is to be written next, unsealed
  blockio::AlignedBuffer written_;  // the block as written last
  blockio::AlignedBuffer found_;    // as read last

  std::mutex lock_;
  std::condition_variable changed_;
  bool stopping_ = false;  // guarded by lock_
  std::unique_ptr<blockio::IoQueue> queue_;
  std::thread thread_;
};

}  // namespace ashlar::claim
