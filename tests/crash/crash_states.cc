#include "tests/crash/crash_states.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <span>
#include <utility>

namespace ashlar::crash_test {
namespace {

// Windows of at most so many writes have all their subsets tried.
constexpr std::size_t kAllSubsets = 4;

bool makes_durable(const blockio::RecordedEvent& event) {
  return event.kind == blockio::OpKind::flush || event.kind == blockio::OpKind::write_durable;
}

bool writes(const blockio::RecordedEvent& event) { return event.kind != blockio::OpKind::flush; }

}  // namespace

CrashStates::CrashStates(const blockio::RecordingDevice& device, std::uint64_t seed)
    : sector_size_(device.geometry().logical_sector), random_(seed), seed_(seed), image_(device.after_power_cut(0)) {
  const std::size_t count = device.event_count();
  events_.reserve(count);
  const std::vector<std::byte> zeros(sector_size_);
  for (std::size_t i = 0; i < count; ++i) {
    Event event{device.event(i), {}};
    const bool has_data = !event.recorded.data.empty();
    const std::uint64_t length = has_data ? event.recorded.data.size() : event.recorded.length;
    for (std::uint64_t at = 0; writes(event.recorded) && at < length; at += sector_size_) {
      const std::byte* const bytes = has_data ? event.recorded.data.data() + at : zeros.data();
      const std::uint64_t sector = (event.recorded.offset + at) / sector_size_;
      event.sectors.push_back({sector, XXH3_64bits_withSeed(bytes, sector_size_, sector)});
    }
    events_.push_back(std::move(event));
  }
}

template <typename Take>
void CrashStates::for_each_sector(const Arrival& arrival, Take take) const {
  const Event& event = events_[arrival.event];
  std::mt19937_64 choice(arrival.torn);
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < event.sectors.size(); ++i) {
    if (i % 64 == 0) bits = arrival.torn == 0 ? ~0ULL : choice();
    if ((bits >> (i % 64) & 1) != 0) take(event, i);
  }
}

void CrashStates::make_durable(std::size_t end) {
  for (; durable_ < end; ++durable_) {
    const Event& event = events_[durable_];
    for (const Sector& sector : event.sectors) {
      std::uint64_t& content = contents_[sector.index];
      identity_ ^= content ^ sector.content;
      content = sector.content;
    }
    if (!event.recorded.data.empty()) {
      image_.write(event.recorded.offset, event.recorded.data);
    } else if (writes(event.recorded)) {
      image_.zero(event.recorded.offset, event.recorded.length);
    }
  }
}

bool CrashStates::visit_choice(std::size_t ended, const std::vector<Arrival>& arrivals, const std::string& how,
                               bool boundary) {
  std::unordered_map<std::uint64_t, std::uint64_t> changed;
  CrashState state;
  state.events = ended;
  state.boundary = boundary;
  state.identity = identity_;
  for (const Arrival& arrival : arrivals) {
    for_each_sector(arrival, [&](const Event& event, std::size_t i) {
      const Sector& sector = event.sectors[i];
      auto found = changed.find(sector.index);
      if (found == changed.end()) {
        const auto before = contents_.find(sector.index);
        found = changed.emplace(sector.index, before == contents_.end() ? 0 : before->second).first;
      }
      state.identity ^= found->second ^ sector.content;
      found->second = sector.content;
    });
  }
  state.description = how;
  if (!wanted_(state)) return visit_(state);
  blockio::MemoryImage image = image_;
  for (const Arrival& arrival : arrivals) {
    const blockio::RecordedEvent& recorded = events_[arrival.event].recorded;
    if (arrival.torn == 0 && !recorded.data.empty()) {
      image.write(recorded.offset, recorded.data);
      continue;
    }
    for_each_sector(arrival, [&](const Event& event, std::size_t i) {
      const std::uint64_t offset = event.sectors[i].index * sector_size_;
      if (recorded.data.empty()) {
        image.zero(offset, sector_size_);
      } else {
        image.write(offset, std::span(recorded.data).subspan(i * sector_size_, sector_size_));
      }
    });
  }
  state.image = &image;
  return visit_(state);
}

// What arrived of the events from durable_ to `end`.
std::vector<CrashStates::Arrival> CrashStates::choose(std::size_t end, std::string& how) {
  std::vector<Arrival> arrivals;
  for (std::size_t i = durable_; i < end; ++i) {
    if (writes(events_[i].recorded)) arrivals.push_back({i});
  }
  const auto any = [this](std::size_t limit) { return static_cast<std::ptrdiff_t>(random_() % limit); };
  if (arrivals.empty()) return arrivals;
  switch (random_() % 6) {
    case 0:
      how = "one lost";
      arrivals.erase(arrivals.begin() + any(arrivals.size()));
      break;
    case 1:
      how = "one torn";
      arrivals[static_cast<std::size_t>(any(arrivals.size()))].torn = random_() | 1;
      break;
    case 2:
      how = "one there";
      arrivals = {arrivals[static_cast<std::size_t>(any(arrivals.size()))]};
      break;
    case 3:
      how = "the last and some others there";
      arrivals.erase(std::remove_if(arrivals.begin(), arrivals.end() - 1, [&](const Arrival&) { return any(2) == 0; }),
                     arrivals.end() - 1);
      break;
    default:
      how = "some lost, some torn, in any order";
      arrivals.erase(std::remove_if(arrivals.begin(), arrivals.end(), [&](const Arrival&) { return any(3) == 0; }),
                     arrivals.end());
      for (Arrival& arrival : arrivals) arrival.torn = any(3) == 0 ? random_() | 1 : 0;
      std::shuffle(arrivals.begin(), arrivals.end(), random_);
  }
  return arrivals;
}

// States with events [durable_, end) in the cache, `ended` of all having returned to their callers.
bool CrashStates::visit_window(std::size_t end, std::size_t ended, std::size_t variants) {
  std::vector<std::size_t> pending;
  for (std::size_t i = durable_; i < end; ++i) {
    if (writes(events_[i].recorded)) pending.push_back(i);
  }
  const auto describe = [&](const std::string& how, std::size_t number) {
    return fmt::format("seed {}, after {} of {} events, durable {}: variant {}, {}{}", seed_, ended, events_.size(),
                       durable_, number, how, end > ended ? ", a durable write under way" : "");
  };
  if (pending.size() <= kAllSubsets) {
    for (std::size_t subset = 0; subset + 1 < (std::size_t{1} << pending.size()); ++subset) {
      std::vector<Arrival> arrivals;
      for (std::size_t i = 0; i < pending.size(); ++i) {
        if ((subset >> i & 1) != 0) arrivals.push_back({pending[i]});
      }
      if (!visit_choice(ended, arrivals, describe(fmt::format("subset {:b}", subset), subset), false)) return false;
    }
  }
  if (pending.empty()) return true;
  for (std::size_t variant = 0; variant < variants; ++variant) {
    std::string how;
    const std::vector<Arrival> arrivals = choose(end, how);
    if (!visit_choice(ended, arrivals, describe(how, variant), false)) return false;
  }
  return true;
}

void CrashStates::enumerate(std::size_t variants, const Wanted& wanted, const Visit& visit) {
  wanted_ = wanted;
  visit_ = visit;
  for (std::size_t ended = 0; ended <= events_.size(); ++ended) {
    if (ended > 0 && makes_durable(events_[ended - 1].recorded)) make_durable(ended);
    std::vector<Arrival> all;
    for (std::size_t i = durable_; i < ended; ++i) all.push_back({i});
    const std::string boundary = fmt::format("seed {}, boundary {} of {}", seed_, ended, events_.size());
    if (!visit_choice(ended, all, boundary, true)) return;
    if (ended == events_.size()) return;
    const bool durable_next = events_[ended].recorded.kind == blockio::OpKind::write_durable;
    if (!visit_window(durable_next ? ended + 1 : ended, ended, variants)) return;
  }
}

}  // namespace ashlar::crash_test
