#include "fs/daemon/status.h"

#include <nlohmann/json.hpp>

#include "fs/format/text.h"

namespace ashlar::daemon {
namespace {

using nlohmann::json;

// Buckets that are empty are left out: pairs of the time that a bucket ends at, in nanoseconds, and a count.
json histogram_json(const blockio::LatencyHistogram& histogram) {
  json buckets = json::array();
  for (std::size_t bucket = 0; bucket < blockio::LatencyHistogram::kBuckets; ++bucket) {
    const std::uint64_t count = histogram.in_bucket(bucket);
    if (count != 0) buckets.push_back({blockio::LatencyHistogram::end_of(bucket), count});
  }
  return buckets;
}

json operation_json(const blockio::OperationStatistics& figures) {
  return {{"completed", figures.completed.get()},
          {"failed", figures.failed.get()},
          {"bytes", figures.bytes.get()},
          {"latency_ns",
           {{"p50", figures.latency.quantile(0.5).count()},
            {"p99", figures.latency.quantile(0.99).count()},
            {"max", figures.latency.quantile(1.0).count()},
            {"histogram", histogram_json(figures.latency)}}}};
}

json io_json(const blockio::QueueStatistics& figures) {
  json operations = json::object();
  for (std::size_t kind = 0; kind < blockio::kOpKinds; ++kind) {
    const auto op = static_cast<blockio::OpKind>(kind);
    if (figures.of(op).completed.get() != 0) operations[std::string(name_of(op))] = operation_json(figures.of(op));
  }
  return {{"operations", std::move(operations)},
          {"steps", figures.steps.get()},
          {"merged", figures.merged.get()},
          {"retried", figures.retried.get()},
          {"shortened", figures.shortened.get()},
          {"cancelled", figures.cancelled.get()},
          {"most_in_flight", figures.most_slots.get()}};
}

json errors_json(const store::ErrorCounts& counts) {
  return {{"metadata", counts.metadata}, {"metadata_healed", counts.metadata_healed}, {"data", counts.data}};
}

json log_json(const store::StoreStats& stats) {
  return {{"bytes", stats.log_bytes},     {"fill", stats.log_fill},
          {"records", stats.log.records}, {"record_bytes", stats.log.record_bytes},
          {"chunks", stats.log.chunks},   {"chunk_bytes", stats.log.chunk_bytes},
          {"syncs", stats.log.syncs},     {"durable_writes", stats.log.durable_writes}};
}

json space_json(const volume::VolumeSpace& space) {
  return {{"block_size", space.block_size}, {"blocks", space.blocks}, {"free", space.free},
          {"available", space.available},   {"inodes", space.inodes}, {"inodes_free", space.inodes_free}};
}

std::string_view state_of(const store::StoreStats& stats, bool read_only) {
  if (!stats.failure.empty()) return "stopped";
  return read_only ? "read-only" : "read-write";
}

}  // namespace

std::string status_json(const MountFacts& facts, const blockio::BlockDevice& device, volume::Volume& volume) {
  const store::Store& store = volume.store();
  const store::StoreStats stats = volume.store().stats();
  blockio::QueueStatistics io;
  device.add_statistics_to(io);
  json status;
  status["version"] = kStatusVersion;
  status["device"] = device.name();
  status["mount_point"] = facts.mount_point;
  status["uuid"] = format::uuid_text(format::shown_uuid(store.superblock()));
  status["label"] = format::printable(store.label());
  status["state"] = state_of(stats, store.read_only());
  status["read_only"] = store.read_only();
  status["failure"] = stats.failure;
  status["errors_policy"] = facts.errors_policy;
  status["commit_seconds"] = facts.commit_interval.count();
  status["threads"] = facts.threads;
  status["transport"] = {{"name", facts.transport}, {"reason", facts.transport_reason}};
  status["io_engine"] = {{"name", name_of(facts.engine.engine)},
                         {"flags", facts.engine.flags},
                         {"dropped", facts.engine.dropped},
                         {"reason", facts.engine.reason},
                         {"depth", facts.engine.depth}};
  status["space"] = space_json(volume.space());
  status["generation"] = stats.generation.value();
  status["checkpoints"] = stats.checkpoints;
  status["replayed"] = {{"records", stats.replayed_records}, {"bytes", stats.replayed_bytes}};
  status["log"] = log_json(stats);
  status["fsync"] = {{"answered", stats.syncs},
                     {"log_writes", stats.log.durable_writes},
                     {"device_flushes", io.of(blockio::OpKind::flush).completed.get() +
                                            io.of(blockio::OpKind::write_durable).completed.get()}};
  status["nodes"] = {{"read", stats.nodes_read},           {"written", stats.nodes_written},
                     {"healed", stats.nodes_healed},       {"dirty", stats.dirty_nodes},
                     {"size", store.layout().node_size()}, {"cache_bytes", stats.cache_bytes},
                     {"cache_limit", facts.cache_limit}};
  status["discard"] = {{"online", stats.discards_online}, {"bytes", stats.discarded_bytes}};
  status["errors"] = {{"since_mkfs", errors_json(stats.errors)}, {"since_mount", errors_json(stats.errors_here)}};
  status["io"] = io_json(io);
  // A label or a path need not be UTF-8.
  return status.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace ashlar::daemon
