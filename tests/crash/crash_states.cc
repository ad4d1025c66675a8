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

bool writes(const blockio::RecordedEvent& event) { return event.kind != blockio::OpKind::flush; }

}  // namespace

CrashStates::CrashStates(const blockio::RecordingDevice& device, std::uint64_t seed)
    : device_(device),
      sector_size_(device.geometry().logical_sector),
      random_(seed),
      seed_(seed),
      image_(device.after_power_cut(0)) {
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
    if ((bits >> (i % 64) & 1) == 0) continue;
    const auto durable = contents_.find(event.sectors[i].index);
    if (durable == contents_.end() || durable->second.event <= arrival.event) take(event, i);
  }
}

void CrashStates::write_sector(const Event& event, std::size_t index, blockio::MemoryImage& image) const {
  const std::uint64_t offset = event.sectors[index].index * sector_size_;
  if (event.recorded.data.empty()) {
    image.zero(offset, sector_size_);
  } else {
    image.write(offset, std::span(event.recorded.data).subspan(index * sector_size_, sector_size_));
  }
}

void CrashStates::settle(std::size_t ended) {
  for (; settled_ < ended; ++settled_) {
    if (writes(events_[settled_].recorded)) pending_.push_back(settled_);
  }
  const std::vector<bool> durable = device_.durable_after(ended);
  std::erase_if(pending_, [&](std::size_t index) {
    if (!durable[index]) return false;
    for_each_sector({index}, [&](const Event& event, std::size_t i) {
      Content& content = contents_[event.sectors[i].index];
      identity_ ^= content.digest ^ event.sectors[i].content;
      content = {event.sectors[i].content, index};
      write_sector(event, i, image_);
    });
    return true;
  });
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
        found = changed.emplace(sector.index, before == contents_.end() ? 0 : before->second.digest).first;
      }
      state.identity ^= found->second ^ sector.content;
      found->second = sector.content;
    });
  }
  state.description = how;
  if (!wanted_(state)) return visit_(state);
  blockio::MemoryImage image = image_;
  for (const Arrival& arrival : arrivals) {
    for_each_sector(arrival, [&](const Event& event, std::size_t i) { write_sector(event, i, image); });
  }
  state.image = &image;
  return visit_(state);
}

// What arrived of what could have.
std::vector<CrashStates::Arrival> CrashStates::choose(std::vector<Arrival> arrivals, std::string& how) {
  const auto any = [this](std::size_t limit) { return static_cast<std::ptrdiff_t>(random_() % limit); };
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

bool CrashStates::visit_window(std::size_t ended, bool under_way, std::size_t variants) {
  std::vector<Arrival> all;
  for (const std::size_t index : pending_) all.push_back({index});
  if (under_way) all.push_back({ended});
  const auto describe = [&](const std::string& how, std::size_t number) {
    return fmt::format("seed {}, after {} of {} events, {} not durable: variant {}, {}{}", seed_, ended, events_.size(),
                       pending_.size(), number, how, under_way ? ", a durable write under way" : "");
  };
  if (all.size() <= kAllSubsets) {
    for (std::size_t subset = 0; subset + 1 < (std::size_t{1} << all.size()); ++subset) {
      std::vector<Arrival> arrivals;
      for (std::size_t i = 0; i < all.size(); ++i) {
        if ((subset >> i & 1) != 0) arrivals.push_back(all[i]);
      }
      if (!visit_choice(ended, arrivals, describe(fmt::format("subset {:b}", subset), subset), false)) return false;
    }
  }
  if (all.empty()) return true;
  for (std::size_t variant = 0; variant < variants; ++variant) {
    std::string how;
    const std::vector<Arrival> arrivals = choose(all, how);
    if (!visit_choice(ended, arrivals, describe(how, variant), false)) return false;
  }
  return true;
}

void CrashStates::enumerate(std::size_t variants, const Wanted& wanted, const Visit& visit) {
  wanted_ = wanted;
  visit_ = visit;
  for (std::size_t ended = 0; ended <= events_.size(); ++ended) {
    settle(ended);
    std::vector<Arrival> all;
    for (const std::size_t index : pending_) all.push_back({index});
    const std::string boundary = fmt::format("seed {}, boundary {} of {}", seed_, ended, events_.size());
    if (!visit_choice(ended, all, boundary, true)) return;
    const bool under_way = ended < events_.size() && events_[ended].recorded.kind == blockio::OpKind::write_durable;
    if (!visit_window(ended, under_way, variants)) return;
  }
}

}  // namespace ashlar::crash_test
