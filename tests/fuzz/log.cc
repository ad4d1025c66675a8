#include <algorithm>
#include <cstring>

#include "fs/format/log.h"
#include "tests/fsck/image_editor.h"
#include "tests/fsck/sample_volume.h"
#include "tests/fuzz/harness.h"

namespace ashlar::fuzz {
namespace {

constexpr std::uint8_t kUuid[16] = {1};
constexpr std::uint64_t kEpoch = 7;
constexpr std::uint32_t kChain = 9;
constexpr std::size_t kMostBytes = 64U << 10;

void visit(std::span<const std::byte> record) {
  format::LogOpCursor cursor(record);
  format::LogOpView op;
  while (true) {
    const Result<bool> more = cursor.next(op);
    if (!more || !*more) return;
    const auto within = [record](std::span<const std::byte> part) {
      return part.empty() ||
             (part.data() >= record.data() && part.data() + part.size() <= record.data() + record.size());
    };
    // A value may also lie in the cursor: whoever reads it must be allowed to.
    FUZZ_CHECK(within(op.value) || op.value.size() <= format::kMaxSparseValue);
    FUZZ_CHECK(std::ranges::count(op.value, std::byte{1}) <= std::ssize(op.value));
    FUZZ_CHECK(within(std::as_bytes(op.checksums)));
  }
}

void run(std::span<const std::uint8_t> input) {
  const std::size_t size = std::min(std::max(input.size(), sizeof(format::ChunkHeader)), kMostBytes);
  std::vector<std::byte> chunk(size);
  const std::span<const std::byte> bytes = std::as_bytes(input.first(std::min(input.size(), size)));
  std::copy(bytes.begin(), bytes.end(), chunk.begin());
  auto& header = *reinterpret_cast<format::ChunkHeader*>(chunk.data());
  header.magic = format::kChunkMagic;
  std::memcpy(header.uuid, kUuid, sizeof kUuid);
  header.epoch = kEpoch;
  header.lsn = 0;
  header.previous_crc = kChain;
  header.length = static_cast<std::uint32_t>(size);
  format::seal_chunk(chunk);
  FUZZ_CHECK(format::validate_chunk(chunk, kUuid, kEpoch, Lsn{0}, kChain).has_value());
  format::RecordCursor records(chunk);
  while (true) {
    const auto record = records.next();
    if (!record || record->empty()) return;
    visit(*record);
  }
}

// What a sample volume's last transactions left in the log.
std::vector<Bytes> seeds() {
  fsck::testing::SampleVolume sample;
  sample.rig.mount();
  std::vector<Bytes> all;
  const auto keep_newest = [&] {
    FUZZ_CHECK(sample.rig.volume().sync_all(sample.rig.context()).has_value());
    fsck::testing::ImageEditor image(sample.device());
    const format::Superblock& superblock = image.superblock;
    const std::uint64_t area = image.layout().byte_offset(image.layout().log().first);
    const std::uint64_t area_bytes = image.layout().log().count * superblock.block_size;
    for (std::uint64_t lsn = superblock.log_start; lsn - superblock.log_start < area_bytes;) {
      const std::vector<std::byte> bytes = image.read_at(area + lsn % area_bytes, superblock.block_size);
      format::ChunkHeader header;
      std::memcpy(&header, bytes.data(), sizeof header);
      if (header.magic != format::kChunkMagic || header.lsn != lsn || header.epoch != superblock.log_epoch) break;
      const auto* const begin = reinterpret_cast<const std::uint8_t*>(bytes.data());
      if (header.length <= bytes.size()) all.emplace_back(begin, begin + header.length);
      lsn += (header.length + superblock.block_size - 1) / superblock.block_size * superblock.block_size;
    }
  };
  sample.rig.make_file(kRootInode, "made");
  keep_newest();
  sample.rig.write(sample.small, 0, volume::testing::pattern(20'000, 4));
  keep_newest();
  FUZZ_CHECK(sample.rig.volume().unlink(sample.rig.context(), sample.directory, "x").has_value());
  keep_newest();
  sample.rig.crash();
  return all;
}

}  // namespace

const Harness kLogHarness = {"log", run, seeds};

}  // namespace ashlar::fuzz
