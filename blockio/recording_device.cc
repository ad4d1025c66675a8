#include "blockio/recording_device.h"

#include "blockio/immediate_queue.h"

namespace ashlar::blockio {
namespace {

bool makes_durable(OpKind kind) noexcept { return kind == OpKind::flush || kind == OpKind::write_durable; }

}  // namespace

RecordingDevice::RecordingDevice(MemoryImage base, const MemoryDeviceOptions& options)
    : base_(base), memory_(std::move(base), options) {}

Result<std::unique_ptr<IoQueue>> RecordingDevice::open_queue(const QueueConfig& config) {
  return enrolled(ImmediateQueue::open(geometry(), config,
                                       {[this](const IoOp& op, std::size_t& ticket) { return perform(op, ticket); },
                                        [this](std::size_t ticket) {
                                          const std::scoped_lock lock(mutex_);
                                          events_[ticket].completed = events_.size();
                                        }}));
}

std::optional<ErrorCode> RecordingDevice::perform(const IoOp& op, std::size_t& ticket) {
  if (op.kind == OpKind::read) return memory_.perform(op);
  Recorded recorded{{op.kind, op.offset, {}, op.length}};
  if (op.kind == OpKind::write || op.kind == OpKind::write_durable) {
    std::vector<std::byte>& data = recorded.event.data;
    data.reserve(op.length);
    for_each_segment(op, [&data](std::uint64_t, std::span<std::byte> memory) {
      data.insert(data.end(), memory.begin(), memory.end());
    });
  }
  const std::scoped_lock lock(mutex_);
  const std::optional<ErrorCode> error = memory_.perform(op);
  if (error) return error;
  ticket = events_.size();
  events_.push_back(std::move(recorded));
  return std::nullopt;
}

Status RecordingDevice::extend(std::uint64_t size) {
  enlarge(size);
  TRY(measure());
  return {};
}

void RecordingDevice::enlarge(std::uint64_t size) {
  const std::scoped_lock lock(mutex_);
  base_.grow(size);
  memory_.enlarge(size);
}

std::size_t RecordingDevice::event_count() const {
  const std::scoped_lock lock(mutex_);
  return events_.size();
}

RecordedEvent RecordingDevice::event(std::size_t index) const {
  const std::scoped_lock lock(mutex_);
  return events_.at(index).event;
}

std::vector<bool> RecordingDevice::durable(std::size_t events, std::size_t complete_before) const {
  const auto is_complete = [&](const Recorded& recorded) { return recorded.completed < complete_before; };
  // Everything that completed before the last complete flush was submitted.
  std::size_t flushed_at = 0;
  for (std::size_t i = 0; i < events; ++i) {
    if (makes_durable(events_[i].event.kind) && is_complete(events_[i])) flushed_at = i;
  }
  std::vector<bool> result(events);
  for (std::size_t i = 0; i < events; ++i) {
    const Recorded& recorded = events_[i];
    result[i] = recorded.completed <= flushed_at || (makes_durable(recorded.event.kind) && is_complete(recorded));
  }
  return result;
}

void RecordingDevice::apply(const RecordedEvent& event, MemoryImage& image) const {
  if (event.kind == OpKind::flush) return;
  if (is_range(event.kind)) return image.zero(event.offset, event.length);
  image.write(event.offset, event.data);
}

void RecordingDevice::apply_torn(const RecordedEvent& event, MemoryImage& image, std::mt19937_64& random) const {
  const std::size_t sector = geometry().logical_sector;
  for (std::size_t done = 0; done < event.length; done += sector) {
    if (random() % 2 == 0) continue;
    if (event.data.empty()) {
      image.zero(event.offset + done, sector);
    } else {
      image.write(event.offset + done, std::span(event.data).subspan(done, sector));
    }
  }
}

MemoryImage RecordingDevice::after(std::size_t events, std::size_t complete_before, std::mt19937_64* random) const {
  const std::scoped_lock lock(mutex_);
  MemoryImage image = base_;
  const std::vector<bool> safe = durable(events, complete_before);
  for (std::size_t i = 0; i < events; ++i) {
    const RecordedEvent& event = events_[i].event;
    switch (safe[i] || random == nullptr ? 0 : (*random)() % 3) {
      case 0: apply(event, image); break;
      case 1: apply_torn(event, image, *random); break;
      default: break;  // lost
    }
  }
  return image;
}

MemoryImage RecordingDevice::after_power_cut(std::size_t events, std::mt19937_64* random) const {
  return after(events, events + 1, random);
}

std::vector<bool> RecordingDevice::durable_after(std::size_t events) const {
  const std::scoped_lock lock(mutex_);
  return durable(events, events + 1);
}

MemoryImage RecordingDevice::during_last(std::size_t events, std::mt19937_64& random) const {
  return after(events, events, &random);
}

}  // namespace ashlar::blockio
