#include "blockio/recording_device.h"

#include "blockio/immediate_queue.h"

namespace ashlar::blockio {

RecordingDevice::RecordingDevice(MemoryImage base, const MemoryDeviceOptions& options)
    : base_(base), memory_(std::move(base), options) {}

Result<std::unique_ptr<IoQueue>> RecordingDevice::open_queue(const QueueConfig& config) {
  return std::unique_ptr<IoQueue>(
      std::make_unique<ImmediateQueue>(geometry(), config.depth, [this](const IoOp& op) { return perform(op); }));
}

std::optional<ErrorCode> RecordingDevice::perform(const IoOp& op) {
  if (op.kind == OpKind::read) return memory_.perform(op);
  RecordedEvent event{op.kind, op.offset, {}, op.length};
  if (op.kind == OpKind::write || op.kind == OpKind::write_durable) {
    event.data.reserve(op.length);
    for_each_segment(op, [&event](std::uint64_t, std::span<std::byte> memory) {
      event.data.insert(event.data.end(), memory.begin(), memory.end());
    });
  }
  const std::scoped_lock lock(mutex_);
  const std::optional<ErrorCode> error = memory_.perform(op);
  if (!error) events_.push_back(std::move(event));
  return error;
}

std::size_t RecordingDevice::event_count() const {
  const std::scoped_lock lock(mutex_);
  return events_.size();
}

RecordedEvent RecordingDevice::event(std::size_t index) const {
  const std::scoped_lock lock(mutex_);
  return events_.at(index);
}

std::size_t RecordingDevice::durable_before(std::size_t events) const {
  for (std::size_t i = events; i > 0; --i) {
    const OpKind kind = events_[i - 1].kind;
    if (kind == OpKind::flush || kind == OpKind::write_durable) return i;
  }
  return 0;
}

void RecordingDevice::apply(const RecordedEvent& event, MemoryImage& image) const {
  if (event.kind == OpKind::flush) return;
  if (event.kind == OpKind::discard || event.kind == OpKind::write_zeroes)
    return image.zero(event.offset, event.length);
  image.write(event.offset, event.data);
}

void RecordingDevice::apply_torn(const RecordedEvent& event, MemoryImage& image, std::mt19937_64& random) const {
  const std::size_t sector = geometry().logical_sector;
  for (std::size_t done = 0; done < event.data.size(); done += sector) {
    if (random() % 2 == 0) image.write(event.offset + done, std::span(event.data).subspan(done, sector));
  }
}

MemoryImage RecordingDevice::after_power_cut(std::size_t events, std::mt19937_64* random) const {
  const std::scoped_lock lock(mutex_);
  MemoryImage image = base_;
  const std::size_t durable = random == nullptr ? events : durable_before(events);
  for (std::size_t i = 0; i < durable; ++i) apply(events_[i], image);
  for (std::size_t i = durable; i < events; ++i) {
    switch ((*random)() % 3) {
      case 0: apply(events_[i], image); break;
      case 1: apply_torn(events_[i], image, *random); break;
      default: break;  // lost
    }
  }
  return image;
}

}  // namespace ashlar::blockio
