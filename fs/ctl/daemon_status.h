// What the daemon of a mounted volume tells of itself.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "fs/base/result.h"

namespace ashlar::ctl {

// An object; errors name the directory.
[[nodiscard]] Result<nlohmann::json> read_status(const std::string& mount_point);

// nullopt unless it is an object in which no more than some values are nested: who serves a mount may be anybody, and
// what handles JSON calls itself for each of them.
[[nodiscard]] std::optional<nlohmann::json> parse_status(std::string_view text);

}  // namespace ashlar::ctl
