#include "tests/crash/view.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <sstream>
#include <vector>

namespace ashlar::crash_test {
namespace {

constexpr std::size_t kPiece = 256U << 10;
constexpr std::size_t kLargestBlock = 4096;

using Digest = std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)>;

Digest new_digest() {
  Digest state(XXH3_createState(), XXH3_freeState);
  XXH3_64bits_reset(state.get());
  return state;
}

void append_model(const volume::testing::ModelNode& directory, const std::string& path, std::string& text);

void append_model(const volume::testing::ModelNode& node, const std::string& path, unsigned links, std::string& text) {
  const std::string& bytes = S_ISLNK(node.mode) ? node.target : node.contents;
  fmt::format_to(std::back_inserter(text), "{} {:o} {} {} {:x}", path, node.mode, links, bytes.size(), digest(bytes));
  for (const auto& [name, value] : node.xattrs) {
    fmt::format_to(std::back_inserter(text), " {}={:x}", name, digest(value));
  }
  text += '\n';
  append_model(node, path, text);
}

void append_model(const volume::testing::ModelNode& directory, const std::string& path, std::string& text) {
  for (const auto& [name, node] : directory.names) {
    unsigned links = node->links;
    if (node->is_directory()) {
      links = 2;
      for (const auto& [ignored, child] : node->names) links += child->is_directory() ? 1U : 0U;
    }
    append_model(*node, path + "/" + name, links, text);
  }
}

std::multiset<std::string> lines_of(const std::string& text) {
  std::istringstream stream(text);
  std::multiset<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.insert(line);
  return lines;
}

}  // namespace

std::uint64_t digest(const std::string& text) { return XXH3_64bits(text.data(), text.size()); }

Viewer::Viewer() : buffer_(kPiece + 2 * kLargestBlock) {}

std::string Viewer::look_at(volume::Volume& volume, volume::Context& context) {
  volume_ = &volume;
  context_ = &context;
  text_.clear();
  look_into(kRootInode, "");
  return std::move(text_);
}

void Viewer::look_into(InodeNumber directory, const std::string& path) {
  std::vector<std::pair<std::string, InodeNumber>> entries;
  const Status listed = volume_->read_directory(*context_, directory, 0, false,
                                                [&](const volume::DirectoryEntry& entry, const volume::Attributes*) {
                                                  if (entry.name != "." && entry.name != "..") {
                                                    entries.emplace_back(entry.name, entry.inode);
                                                  }
                                                  return true;
                                                });
  if (!listed) fmt::format_to(std::back_inserter(text_), "{} unreadable: {}\n", path, listed.error().message());
  std::sort(entries.begin(), entries.end());
  for (const auto& [name, number] : entries) add(number, path + "/" + name);
}

void Viewer::add(InodeNumber number, const std::string& path) {
  const auto found = volume_->attributes(*context_, number);
  if (!found) {
    fmt::format_to(std::back_inserter(text_), "{} no attributes: {}\n", path, found.error().message());
    return;
  }
  const volume::Attributes& a = *found;
  const bool directory = S_ISDIR(a.mode);
  const std::uint64_t size = directory ? 0 : a.size;
  fmt::format_to(std::back_inserter(text_), "{} {:o} {} {} ", path, a.mode, a.links, size);
  if (S_ISREG(a.mode)) {
    add_contents(number, size);
  } else {
    const std::string target =
        S_ISLNK(a.mode) ? volume_->read_symlink(*context_, number).value_or("unreadable") : std::string();
    fmt::format_to(std::back_inserter(text_), "{:x}", digest(target));
  }
  add_xattrs(number);
  fmt::format_to(std::back_inserter(text_), "|{} {} {} {} {:x} {}.{} {}.{} {}.{} {}.{}\n", number.value(), a.uid, a.gid,
                 a.device, a.flags, a.accessed.tv_sec, a.accessed.tv_nsec, a.modified.tv_sec, a.modified.tv_nsec,
                 a.changed.tv_sec, a.changed.tv_nsec, a.born.tv_sec, a.born.tv_nsec);
  if (directory) look_into(number, path);
}

void Viewer::add_contents(InodeNumber number, std::uint64_t size) {
  const Digest state = new_digest();
  for (std::uint64_t at = 0; at < size; at += kPiece) {
    const auto bytes = volume_->read(*context_, number, at, std::min<std::uint64_t>(kPiece, size - at), buffer_.span());
    if (!bytes) {
      text_ += bytes.error().message();
      return;
    }
    XXH3_64bits_update(state.get(), bytes->data(), bytes->size());
  }
  fmt::format_to(std::back_inserter(text_), "{:x}", XXH3_64bits_digest(state.get()));
}

void Viewer::add_xattrs(InodeNumber number) {
  const auto listed = volume_->list_xattrs(*context_, number);
  if (!listed) {
    text_ += " xattrs: " + listed.error().message();
    return;
  }
  std::set<std::string> names;
  for (std::size_t at = 0; at < listed->size(); at = listed->find('\0', at) + 1) names.insert(listed->c_str() + at);
  for (const std::string& name : names) {
    const auto value = volume_->get_xattr(*context_, number, name);
    if (value) {
      fmt::format_to(std::back_inserter(text_), " {}={:x}", name, digest(*value));
    } else {
      fmt::format_to(std::back_inserter(text_), " {}: {}", name, value.error().message());
    }
  }
}

std::string plain(const std::string& text) {
  std::istringstream stream(text);
  std::string result;
  for (std::string line; std::getline(stream, line);) result += line.substr(0, line.rfind('|')) + "\n";
  return result;
}

std::string plain(const volume::testing::ModelNode& root) {
  std::string text;
  append_model(root, "", text);
  return text;
}

std::string difference(const std::string& expected, const std::string& shown) {
  const std::multiset<std::string> ours = lines_of(expected);
  const std::multiset<std::string> theirs = lines_of(shown);
  std::vector<std::string> missing;
  std::vector<std::string> added;
  std::set_difference(ours.begin(), ours.end(), theirs.begin(), theirs.end(), std::back_inserter(missing));
  std::set_difference(theirs.begin(), theirs.end(), ours.begin(), ours.end(), std::back_inserter(added));
  std::string text;
  for (const std::string& line : missing) text += "  expected " + line + "\n";
  for (const std::string& line : added) text += "  found    " + line + "\n";
  return text;
}

}  // namespace ashlar::crash_test
