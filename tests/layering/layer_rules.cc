#include "tests/layering/layer_rules.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <span>
#include <string>

namespace ashlar::layering {
namespace {

constexpr std::size_t kMostAllowed = 10;

// `target` is the CMake library; the programs have none that others may link.
struct Layer {
  std::string_view folder;
  std::string_view target;
  std::array<std::string_view, kMostAllowed> may_use;
};

constexpr std::string_view kLogReader = "fs/store/log/log_reader";

constexpr std::array kLayers = {
    Layer{"fs/base", "base", {}},
    Layer{"blockio", "blockio", {"fs/base"}},
    Layer{"fs/format", "format", {"fs/base"}},
    Layer{kLogReader, "log_reader", {"fs/base", "blockio", "fs/format"}},
    Layer{"fs/claim", "claim", {"fs/base", "blockio", "fs/format"}},
    Layer{"fs/store", "store", {"fs/base", "blockio", "fs/format", kLogReader, "fs/claim"}},
    Layer{"fs/volume", "volume", {"fs/base", "blockio", "fs/format", "fs/store"}},
    Layer{"fs/fuse", "fuse", {"fs/base", "blockio", "fs/volume"}},
    Layer{"mkfs", "mkfs", {"fs/base", "blockio", "fs/format"}},
    Layer{"fsck", "fsck", {"fs/base", "blockio", "fs/format", kLogReader, "fs/claim"}},
    Layer{"fs/daemon", "daemon", {"fs/base", "blockio", "fs/format", "fs/store", "fs/volume", "fs/fuse"}},
    Layer{"fs/ctl",
          "ctl",
          {"fs/base", "blockio", "fs/format", kLogReader, "fs/claim", "fs/store", "fs/volume", "fs/fuse", "fs/daemon"}},
};

// System headers that betray the business of a layer, by prefix, and the only folders which may include them.
struct SystemHeader {
  std::string_view prefix;
  std::array<std::string_view, 3> owners;
};

constexpr std::array kSystemHeaders = {
    SystemHeader{"liburing", {"blockio"}},          SystemHeader{"linux/aio_abi.h", {"blockio"}},
    SystemHeader{"fuse", {"fs/fuse", "fs/daemon"}}, SystemHeader{"linux/fuse.h", {"fs/fuse"}},
    SystemHeader{"CLI/", {"mkfs", "fsck", "fs/"}},
};

// What the pure format layer must do without: input/output, threads, time.
constexpr std::array<std::string_view, 14> kImpure = {
    "thread", "mutex",   "condition_variable", "shared_mutex", "future",    "fstream",    "iostream", "chrono",
    "atomic", "fcntl.h", "unistd.h",           "sys/",         "pthread.h", "filesystem",
};

const Layer* find_layer(std::string_view folder) {
  const auto* found = std::find_if(kLayers.begin(), kLayers.end(), [&](const Layer& l) { return l.folder == folder; });
  return found == kLayers.end() ? nullptr : found;
}

bool may_use(const Layer& user, std::string_view used_folder) {
  if (user.folder == used_folder) return true;
  return !used_folder.empty() && std::find(user.may_use.begin(), user.may_use.end(), used_folder) != user.may_use.end();
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  return first == std::string_view::npos ? std::string_view{} : text.substr(first);
}

// What stands between `open` and the next `close` in an #include line; empty when it is not one of that kind.
std::string_view included(std::string_view line, char open, char close) {
  line = trimmed(line);
  if (!line.starts_with('#')) return {};
  line = trimmed(line.substr(1));
  if (!line.starts_with("include")) return {};
  line = trimmed(line.substr(std::string_view("include").size()));
  if (!line.starts_with(open)) return {};
  line.remove_prefix(1);
  return line.substr(0, line.find(close));
}

std::string check_own_include(const Layer& user, std::string_view path) {
  const std::string_view used = layer_of(path);
  if (used.empty()) return "\"" + std::string(path) + "\" is not a path from the repository's root into a layer";
  if (may_use(user, used)) return {};
  return std::string(user.folder) + " must not include \"" + std::string(path) + "\"";
}

std::string check_system_include(const Layer& user, std::string_view header) {
  for (const SystemHeader& guarded : kSystemHeaders) {
    if (!header.starts_with(guarded.prefix)) continue;
    const bool owner = std::any_of(guarded.owners.begin(), guarded.owners.end(), [&](std::string_view folder) {
      return !folder.empty() && user.folder.starts_with(folder);
    });
    if (!owner) return std::string(user.folder) + " must not include <" + std::string(header) + ">";
  }
  if (user.folder != "fs/format") return {};
  const bool impure = std::any_of(kImpure.begin(), kImpure.end(), [&](std::string_view name) {
    return name.ends_with('/') ? header.starts_with(name) : header == name;
  });
  return impure ? "fs/format is pure and must not include <" + std::string(header) + ">" : std::string();
}

template <typename Visitor>
void for_each_line(std::string_view text, Visitor visit) {
  int number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    visit(++number, text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

}  // namespace

std::string_view layer_of(std::string_view path) {
  if (path.starts_with(kLogReader)) return kLogReader;
  for (const Layer& layer : kLayers) {
    if (path.starts_with(layer.folder) && path.substr(layer.folder.size()).starts_with('/')) return layer.folder;
  }
  return {};
}

std::vector<Violation> check_source(std::string_view path, std::string_view text) {
  std::vector<Violation> violations;
  const Layer* user = find_layer(layer_of(path));
  if (user == nullptr) return {{0, std::string(path) + " belongs to no layer"}};
  for_each_line(text, [&](int number, std::string_view line) {
    std::string reason;
    if (const std::string_view own = included(line, '"', '"'); !own.empty()) {
      reason = check_own_include(*user, own);
    } else if (const std::string_view system = included(line, '<', '>'); !system.empty()) {
      reason = check_system_include(*user, system);
    }
    if (!reason.empty()) violations.push_back({number, std::move(reason)});
  });
  return violations;
}

std::vector<Violation> check_cmake(std::string_view path, std::string_view text) {
  constexpr std::string_view kPrefix = "ashlar::";
  const Layer* user = find_layer(layer_of(path));
  if (user == nullptr) return {{0, std::string(path) + " belongs to no layer"}};
  std::vector<Violation> violations;
  for_each_line(text, [&](int number, std::string_view line) {
    line = line.substr(0, line.find('#'));
    for (std::size_t at = line.find(kPrefix); at != std::string_view::npos; at = line.find(kPrefix, at + 1)) {
      const std::string_view rest = line.substr(at + kPrefix.size());
      const std::string_view name = rest.substr(0, rest.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789"));
      const auto* used = std::find_if(kLayers.begin(), kLayers.end(), [&](const Layer& l) { return l.target == name; });
      if (used == kLayers.end()) {
        violations.push_back({number, "ashlar::" + std::string(name) + " is no layer"});
      } else if (!may_use(*user, used->folder)) {
        violations.push_back({number, std::string(user->folder) + " must not link ashlar::" + std::string(name)});
      }
    }
  });
  return violations;
}

}  // namespace ashlar::layering
