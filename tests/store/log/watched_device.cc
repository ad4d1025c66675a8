#include "tests/store/log/watched_device.h"

namespace ashlar::store {

class WatchedQueue final : public blockio::IoQueue {
 public:
  WatchedQueue(const WatchedDevice& device, std::unique_ptr<blockio::IoQueue> behind)
      : device_(device), behind_(std::move(behind)) {}

  void submit(std::span<blockio::IoOp* const> ops) override {
    if (const auto watcher = device_.watcher()) {
      for (blockio::IoOp* op : ops) (*watcher)(*op);
    }
    behind_->submit(ops);
  }
  std::size_t wait(std::size_t min, std::optional<std::chrono::nanoseconds> timeout) override {
    return behind_->wait(min, timeout);
  }
  void drain() override { behind_->drain(); }
  [[nodiscard]] Status resize(std::uint32_t depth) override { return behind_->resize(depth); }
  [[nodiscard]] const blockio::QueueStatistics& statistics() const noexcept override { return behind_->statistics(); }
  [[nodiscard]] const blockio::EngineSelection& selection() const noexcept override { return behind_->selection(); }

 private:
  const WatchedDevice& device_;
  std::unique_ptr<blockio::IoQueue> behind_;
};

Result<std::unique_ptr<blockio::IoQueue>> WatchedDevice::open_queue(const blockio::QueueConfig& config) {
  return std::make_unique<WatchedQueue>(*this, TRY(behind_.open_queue(config)));
}

void WatchedDevice::watch(Watcher watcher) {
  const std::scoped_lock lock(mutex_);
  watcher_ = watcher ? std::make_shared<const Watcher>(std::move(watcher)) : nullptr;
}

std::shared_ptr<const WatchedDevice::Watcher> WatchedDevice::watcher() const {
  const std::scoped_lock lock(mutex_);
  return watcher_;
}

}  // namespace ashlar::store
