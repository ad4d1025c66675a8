// Takes what people wrote out of a log, as NameScrambler does out of the tree under it.
#pragma once

#include <functional>
#include <span>

#include "fs/ctl/log_chunks.h"
#include "fs/ctl/name_scrambler.h"

namespace ashlar::ctl {

// All outlive it.
class LogScrambler {
 public:
  LogScrambler(const VolumeReader& volume, const format::Superblock& superblock, NameScrambler& names)
      : volume_(volume), superblock_(superblock), layout_(format::Layout::of(superblock)), names_(names) {}

  // Before the tree is scrambled: has those items of it remembered that the log changes.
  [[nodiscard]] Status announce();
  // After that: every chunk, with names as the tree has them now, contents written over, and what its records bear
  // witness of replaced by zeros if it is there, so that as many of them count. Chunks behind the log's end, and those
  // from the first malformed record on, are left out.
  [[nodiscard]] Status copy(const std::function<Status(std::uint64_t offset, std::span<const std::byte> chunk)>& write);

 private:
  [[nodiscard]] Status scramble_chunk(std::span<std::byte> chunk);
  [[nodiscard]] Status scramble_record(std::span<std::byte> record);
  void replace_witnessed(BlockRun run, std::span<std::byte> checksums) const;

  const VolumeReader& volume_;
  const format::Superblock& superblock_;
  const format::Layout layout_;
  NameScrambler& names_;
};

}  // namespace ashlar::ctl
