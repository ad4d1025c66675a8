#include "fs/claim/volume_claim.h"

#include <fmt/core.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <utility>

#include "fs/base/log.h"
#include "fs/base/thread.h"

namespace ashlar::claim {
namespace {

// Two rewrites that fail in a row: the third might come after another host has given up waiting for it.
constexpr int kMaxFailures = 2;

// How long a claim must stay as it is before its holder counts as gone: two rewrites, and time for a slow device.
std::chrono::milliseconds patience(std::chrono::milliseconds interval) { return interval * 5 / 2; }

std::uint64_t first_sequence() {
  std::uint64_t sequence = 0;
  if (getrandom(&sequence, sizeof sequence, 0) != static_cast<ssize_t>(sizeof sequence)) {
    sequence = static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  }
  return sequence;
}

bool same(const blockio::AlignedBuffer& left, const blockio::AlignedBuffer& right) {
  return std::equal(left.span().begin(), left.span().end(), right.span().begin(), right.span().end());
}

}  // namespace

Identity this_host() {
  Identity identity;
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string text;
  file >> text;
  std::erase(text, '-');
  for (std::size_t i = 0; i < identity.boot_id.size() && 2 * i + 1 < text.size(); ++i) {
    identity.boot_id[i] = static_cast<std::uint8_t>(std::strtoul(text.substr(2 * i, 2).c_str(), nullptr, 16));
  }
  std::array<char, format::kHostNameSize> name{};
  if (gethostname(name.data(), name.size() - 1) == 0) identity.host = name.data();
  return identity;
}

VolumeClaim::VolumeClaim(const format::Superblock& superblock, const ClaimOptions& options)
    : options_(options), written_(format::kHostClaimSize), found_(format::kHostClaimSize) {
  claim_.magic = format::kHostClaimMagic;
  std::copy(std::begin(superblock.uuid), std::end(superblock.uuid), std::begin(claim_.uuid));
  claim_.sequence = first_sequence();
  claim_.interval = static_cast<std::uint32_t>(options.interval.count());
  std::copy(options.identity.boot_id.begin(), options.identity.boot_id.end(), std::begin(claim_.boot_id));
  options.identity.host.copy(claim_.host, sizeof claim_.host);
}

Result<std::unique_ptr<VolumeClaim>> VolumeClaim::take(blockio::IoQueue& io, const format::Superblock& superblock,
                                                       const ClaimOptions& options) {
  if ((superblock.read_only_compatible & format::kHostClaims) == 0) return std::unique_ptr<VolumeClaim>();
  std::unique_ptr<VolumeClaim> claim(new VolumeClaim(superblock, options));
  if (claim->written_.empty() || claim->found_.empty()) return fail(ErrorCode::out_of_memory);
  TRY(claim->wait_for_holder(io));
  return claim;
}

Status VolumeClaim::keep(blockio::BlockDevice& device, Lost lost) {
  lost_ = std::move(lost);
  queue_ = TRY(device.open_queue({}));
  thread_ = TRY(start_thread([this] { run(*queue_); }));
  return {};
}

Status VolumeClaim::wait_for_holder(blockio::IoQueue& io) {
  TRY(read(io, found_));
  const auto holder = format::parse_host_claim(found_.span(), claim_.uuid);
  if (holder && *holder && std::memcmp((*holder)->boot_id, claim_.boot_id, sizeof claim_.boot_id) == 0) {
    return write_next(io);  // the device's lock says that nobody here has it any more
  }
  if (!holder || *holder) {
    const std::string who = holder ? format::host_text(**holder) : "a host that cannot be told";
    const std::chrono::milliseconds interval =
        holder ? std::chrono::milliseconds{format::claim_interval(**holder)} : options_.interval;
    log(LogLevel::warning, "{} had claimed the volume and not given it back: waiting whether it is still there", who);
    blockio::AlignedBuffer before = std::exchange(found_, blockio::AlignedBuffer(format::kHostClaimSize));
    if (found_.empty()) return fail(ErrorCode::out_of_memory);
    std::this_thread::sleep_for(patience(interval));
    TRY(read(io, found_));
    if (!same(before, found_)) return fail(ErrorCode::busy, fmt::format("in use by {}", who));
  }
  // Of several that come at the same moment, the one that wrote last stays.
  TRY(write_next(io));
  std::this_thread::sleep_for(options_.interval);
  return check_unchanged(io);
}

Status VolumeClaim::read(blockio::IoQueue& io, blockio::AlignedBuffer& into) {
  blockio::IoOp op = blockio::IoOp::read(format::kHostClaimOffset, into.span());
  return io.run(op);
}

Status VolumeClaim::write_next(blockio::IoQueue& io) {
  claim_.sequence = claim_.sequence + 1;
  claim_.time = static_cast<std::uint64_t>(std::time(nullptr));
  format::seal(claim_);
  std::memcpy(written_.data(), &claim_, sizeof claim_);
  blockio::IoOp op = blockio::IoOp::write_durable(format::kHostClaimOffset, written_.span());
  return io.run(op);
}

Status VolumeClaim::check_unchanged(blockio::IoQueue& io) {
  TRY(read(io, found_));
  if (same(found_, written_)) return {};
  const auto holder = format::parse_host_claim(found_.span(), claim_.uuid);
  const std::string who = holder && *holder ? format::host_text(**holder) : "somebody else";
  return fail(ErrorCode::busy, fmt::format("claimed by {}", who));
}

Status VolumeClaim::renew(blockio::IoQueue& io) {
  TRY(check_unchanged(io));
  return write_next(io);
}

void VolumeClaim::run(blockio::IoQueue& io) {
  int failures = 0;
  std::unique_lock guard(lock_);
  while (!changed_.wait_for(guard, options_.interval, [this] { return stopping_; })) {
    guard.unlock();
    const Status renewed = renew(io);
    failures = renewed ? 0 : failures + 1;
    if (!renewed && (renewed.error().code() == ErrorCode::busy || failures == kMaxFailures)) {
      return lost_(fmt::format("the claim on the volume is lost: {}", renewed.error().message()));
    }
    guard.lock();
  }
}

void VolumeClaim::stop_thread() {
  if (!thread_.joinable()) return;
  {
    const std::scoped_lock guard(lock_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

VolumeClaim::~VolumeClaim() { stop_thread(); }

Status VolumeClaim::release(blockio::IoQueue& io) {
  stop_thread();
  TRY(check_unchanged(io));
  std::fill(written_.span().begin(), written_.span().end(), std::byte{0});
  blockio::IoOp op = blockio::IoOp::write_durable(format::kHostClaimOffset, written_.span());
  return io.run(op);
}

}  // namespace ashlar::claim
