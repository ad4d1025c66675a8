// Reads the contents of files and compares them with their checksums, several reads at a time.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "blockio/aligned_buffer.h"
#include "fsck/context.h"

namespace ashlar::fsck {

class DataCheck {
 public:
  explicit DataCheck(CheckContext& context);
  ~DataCheck();  // waits for what is being read
  DataCheck(const DataCheck&) = delete;
  DataCheck& operator=(const DataCheck&) = delete;

  // Lies inside the volume. Findings come in order, some calls later.
  [[nodiscard]] Status take(std::uint64_t inode, const format::Extent& extent);
  // The findings that are still to come.
  void finish();

 private:
  static constexpr std::size_t kPieces = 32;  // in flight
  static constexpr std::size_t kPieceBytes = 128U << 10;

  struct Piece {
    blockio::IoOp read;
    std::span<std::byte> bytes;
    std::uint64_t inode = 0;
    std::uint64_t file_block = 0;
    BlockNumber place;
    std::vector<format::le32> checksums;
  };

  void submit(std::uint64_t inode, const format::Extent& extent, std::size_t first, std::size_t count);
  void take_oldest();
  void wait(const Piece& piece);

  CheckContext& context_;
  const std::size_t block_size_;
  blockio::AlignedBuffer buffer_;
  std::unique_ptr<std::array<Piece, kPieces>> pieces_;
  std::uint64_t submitted_ = 0;  // ever; piece i is at i % kPieces
  std::uint64_t taken_ = 0;
};

}  // namespace ashlar::fsck
