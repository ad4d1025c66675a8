#include "tests/blockio/rig.h"

#include <cstring>

#include "blockio/file_device.h"

namespace ashlar::blockio::testing {

std::string name_of(Subject subject) {
  switch (subject) {
    case Subject::io_uring: return "io_uring";
    case Subject::aio: return "aio";
    case Subject::memory: return "memory";
    case Subject::recording: return "recording";
    case Subject::faulty: return "faulty";
    case Subject::faulty_memory: return "faulty_memory";
    case Subject::faulty_file: return "faulty_file";
  }
  return {};
}

bool is_real(Subject subject) { return subject == Subject::io_uring || subject == Subject::aio; }

Rig::Rig(Subject subject, const RigOptions& options) : subject_(subject) {
  MemoryDeviceOptions memory;
  memory.read_only = options.read_only;
  switch (subject) {
    case Subject::io_uring:
    case Subject::aio: device_ = open_file(options); break;
    case Subject::memory: device_ = std::make_unique<MemoryDevice>(kDeviceSize, memory); break;
    case Subject::recording: device_ = std::make_unique<RecordingDevice>(MemoryImage(kDeviceSize), memory); break;
    case Subject::faulty:
      inner_ = std::make_unique<MemoryDevice>(kDeviceSize, memory);
      make_faulty({});
      break;
    case Subject::faulty_memory:
      inner_ = std::make_unique<MemoryDevice>(kDeviceSize, memory);
      make_faulty(at_random(1, 8, Fault::delay));
      break;
    case Subject::faulty_file:
      inner_ = open_file(options);
      make_faulty(at_random(2, 16, Fault::delay));
      break;
  }
}

std::unique_ptr<BlockDevice> Rig::open_file(const RigOptions& options) {
  scratch_.make_file("image", options.window_offset + kDeviceSize);
  DeviceOptions file;
  file.read_only = options.read_only;
  file.window_offset = options.window_offset;
  Result<std::unique_ptr<FileDevice>> device = open_device(image(), file);
  if (device) return *std::move(device);
  ADD_FAILURE() << device.error().message();
  return nullptr;
}

void Rig::make_faulty(FaultPlan plan) {
  if (!inner_) return;
  auto faulty = std::make_unique<FaultyDevice>(*inner_);
  faulty->set_plan(std::move(plan));
  device_ = std::move(faulty);
}

std::unique_ptr<IoQueue> Rig::queue(QueueConfig config) {
  if (subject_ == Subject::io_uring || subject_ == Subject::faulty_file) config.engine = EngineChoice::io_uring;
  if (subject_ == Subject::aio) config.engine = EngineChoice::aio;
  Result<std::unique_ptr<IoQueue>> queue = device_->open_queue(config);
  if (!queue) {
    ADD_FAILURE() << queue.error().message();
    return nullptr;
  }
  return *std::move(queue);
}

AlignedBuffer pattern(std::size_t size, std::uint64_t seed) {
  AlignedBuffer buffer(size);
  for (std::size_t at = 0; at + sizeof(std::uint64_t) <= size; at += sizeof(std::uint64_t)) {
    const std::uint64_t word = (seed + 1) * 0x9e3779b97f4a7c15U + at;
    std::memcpy(buffer.data() + at, &word, sizeof(word));
  }
  return buffer;
}

bool same(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size()) == 0;
}

std::vector<IoOp*> pointers_to(std::vector<IoOp>& ops) {
  std::vector<IoOp*> pointers;
  pointers.reserve(ops.size());
  for (IoOp& op : ops) pointers.push_back(&op);
  return pointers;
}

}  // namespace ashlar::blockio::testing
