// Random operations on a volume and on a model in memory, with remounts and crashes between them: both must agree
// throughout.
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>

#include "tests/volume/model_node.h"
#include "tests/volume/rig.h"

namespace ashlar::volume::testing {
namespace {

using Node = ModelNode;
using NodePtr = ModelNodePtr;

class Model : public ::testing::TestWithParam<Geometry> {
 protected:
  static constexpr std::size_t kMaxFile = 60'000;
  static constexpr int kNames = 6;

  Rig rig{GetParam()};
  std::mt19937_64 random{GetParam().node_size};
  NodePtr root = std::make_shared<Node>(Node{S_IFDIR, {}, {}, {}, {}, 2});

  std::uint64_t below(std::uint64_t limit) { return random() % limit; }
  std::string a_name() { return "n" + std::to_string(below(kNames)); }

  struct Place {
    InodeNumber number;
    NodePtr node;
  };
  // A random directory, and the volume's inode for it.
  Place a_directory() {
    Place place{kRootInode, root};
    while (below(2) == 0) {
      const auto found = place.node->names.find(a_name());
      if (found == place.node->names.end() || !found->second->is_directory()) break;
      place = {rig.find(place.number, found->first), found->second};
    }
    return place;
  }
  std::optional<Place> a_file() {
    for (int attempt = 0; attempt < 10; ++attempt) {
      const Place directory = a_directory();
      for (const auto& [name, node] : directory.node->names) {
        if (S_ISREG(node->mode) && below(2) == 0) return Place{rig.find(directory.number, name), node};
      }
    }
    return std::nullopt;
  }

  void make();
  void link();
  void remove();
  void rename();
  void write();
  void truncate();
  void allocate();
  void seek();
  void change_xattr();
  void compare(InodeNumber number, const Node& node);
  void step();
};

void Model::make() {
  const Place directory = a_directory();
  const std::string name = a_name();
  auto& names = directory.node->names;
  std::optional<ErrorCode> expected;
  if (names.contains(name)) expected = ErrorCode::already_exists;
  const std::uint64_t kind = below(4);
  auto node = std::make_shared<Node>();
  node->links = 1;
  std::optional<ErrorCode> outcome;
  InodeNumber made;
  const auto note = [&](const Result<Attributes>& result) {
    outcome = error_of(result);
    if (result) made = result->inode;
  };
  if (kind == 0) {
    node->mode = S_IFDIR;
    node->links = 2;
    note(rig.volume().make_node(rig.context(), directory.number, name, {S_IFDIR | 0755, 0}));
  } else if (kind == 1) {
    node->mode = S_IFLNK;
    node->target = pattern(1 + below(300), static_cast<unsigned>(random()));
    std::replace(node->target.begin(), node->target.end(), '\0', 'x');
    note(rig.volume().make_symlink(rig.context(), directory.number, name, node->target));
  } else {
    node->mode = S_IFREG;
    note(rig.volume().make_node(rig.context(), directory.number, name, {S_IFREG | 0644, 0}));
  }
  ASSERT_EQ(outcome, expected);
  if (outcome) return;
  rig.forget(made);
  names[name] = node;
}

void Model::link() {
  const auto file = a_file();
  if (!file) return;
  const Place directory = a_directory();
  const std::string name = a_name();
  const auto result = rig.volume().link(rig.context(), file->number, directory.number, name);
  if (directory.node->names.contains(name)) {
    ASSERT_EQ(error_of(result), ErrorCode::already_exists);
    return;
  }
  ASSERT_TRUE(result);
  rig.forget(file->number);
  directory.node->names[name] = file->node;
  ++file->node->links;
}

void Model::remove() {
  const Place directory = a_directory();
  const std::string name = a_name();
  auto& names = directory.node->names;
  const auto found = names.find(name);
  const bool as_directory = below(2) == 0;
  std::optional<ErrorCode> expected;
  if (found == names.end()) {
    expected = ErrorCode::not_found;
  } else if (as_directory && !found->second->is_directory()) {
    expected = ErrorCode::not_a_directory;
  } else if (!as_directory && found->second->is_directory()) {
    expected = ErrorCode::is_a_directory;
  } else if (!found->second->names.empty()) {
    expected = ErrorCode::directory_not_empty;
  }
  const Status status = as_directory ? rig.volume().remove_directory(rig.context(), directory.number, name)
                                     : rig.volume().unlink(rig.context(), directory.number, name);
  ASSERT_EQ(error_of(status), expected);
  if (expected) return;
  --found->second->links;
  names.erase(found);
}

void Model::rename() {
  const Place from = a_directory();
  const Place to = a_directory();
  const std::string name = a_name();
  const std::string new_name = a_name();
  const bool exchange = below(4) == 0;
  const Status status =
      rig.volume().rename(rig.context(), from.number, name, to.number, new_name, exchange ? RENAME_EXCHANGE : 0);
  const auto source = from.node->names.find(name);
  const auto target = to.node->names.find(new_name);
  const bool replaces = target != to.node->names.end();
  if (source == from.node->names.end() || (exchange && !replaces)) {
    ASSERT_EQ(error_of(status), ErrorCode::not_found);
    return;
  }
  const NodePtr moved = source->second;
  const NodePtr other = replaces ? target->second : nullptr;
  const bool into_itself = moved->is_directory() && holds(*moved, *to.node);
  const bool other_into_itself = replaces && other->is_directory() && holds(*other, *from.node);
  if (into_itself || (exchange && other_into_itself)) {
    ASSERT_EQ(error_of(status), ErrorCode::invalid_argument);
    return;
  }
  if (moved == other) {
    ASSERT_EQ(error_of(status), std::nullopt);
    return;
  }
  if (exchange) {
    ASSERT_EQ(error_of(status), std::nullopt);
    std::swap(source->second, target->second);
    return;
  }
  std::optional<ErrorCode> expected;
  if (replaces && moved->is_directory() && !other->is_directory()) expected = ErrorCode::not_a_directory;
  if (replaces && !moved->is_directory() && other->is_directory()) expected = ErrorCode::is_a_directory;
  if (replaces && moved->is_directory() && !other->names.empty()) expected = ErrorCode::directory_not_empty;
  if (other_into_itself) expected = ErrorCode::directory_not_empty;
  ASSERT_EQ(error_of(status), expected);
  if (expected) return;
  if (other) --other->links;
  from.node->names.erase(source);
  to.node->names[new_name] = moved;
}

void Model::write() {
  const auto file = a_file();
  if (!file) return;
  const std::uint64_t offset = below(3) == 0 ? file->node->contents.size() : below(kMaxFile / 2);
  const std::string data = pattern(1 + below(below(2) == 0 ? 300 : kMaxFile / 2), static_cast<unsigned>(random()));
  rig.write(file->number, offset, data);
  file->node->write(offset, data);
}

void Model::truncate() {
  const auto file = a_file();
  if (!file) return;
  const std::uint64_t size = below(4) == 0 ? below(200) : below(kMaxFile);
  rig.truncate(file->number, size);
  file->node->contents.resize(size);
}

void Model::allocate() {
  const auto file = a_file();
  if (!file) return;
  const std::uint64_t offset = below(kMaxFile / 2);
  const std::uint64_t length = 1 + below(kMaxFile / 2);
  const int modes[] = {0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
                       FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};
  const int mode = modes[below(std::size(modes))];
  const Status status = rig.volume().allocate(rig.context(), file->number, mode, offset, length);
  ASSERT_TRUE(status) << status.error().message();
  file->node->allocate(offset, length, (mode & FALLOC_FL_KEEP_SIZE) != 0, (mode & ~FALLOC_FL_KEEP_SIZE) != 0);
}

// Where data is, is the volume's to say; but no byte that is not zero may be called a hole.
void Model::seek() {
  const auto file = a_file();
  if (!file || file->node->contents.empty()) return;
  const std::string& contents = file->node->contents;
  std::uint64_t at = 0;
  while (at < contents.size()) {
    const auto data = rig.volume().seek(rig.context(), file->number, at, SEEK_DATA);
    const std::uint64_t hole_end = data ? *data : contents.size();
    ASSERT_GE(hole_end, at);
    ASSERT_GE(std::min(contents.find_first_not_of('\0', at), contents.size()), hole_end);
    if (!data) return;
    const auto hole = rig.volume().seek(rig.context(), file->number, hole_end, SEEK_HOLE);
    ASSERT_TRUE(hole);
    ASSERT_GT(*hole, hole_end);
    at = *hole;
  }
}

void Model::change_xattr() {
  const auto file = a_file();
  if (!file) return;
  const std::string name = "user." + std::to_string(below(4));
  auto& xattrs = file->node->xattrs;
  if (below(3) == 0) {
    const Status status = rig.volume().remove_xattr(rig.context(), file->number, name);
    ASSERT_EQ(static_cast<bool>(status), xattrs.erase(name) == 1);
    return;
  }
  const std::string value = pattern(below(below(3) == 0 ? 20'000 : 100), static_cast<unsigned>(random()));
  const int flags[] = {0, XATTR_CREATE, XATTR_REPLACE};
  const int flag = flags[below(3)];
  const Status status =
      rig.volume().set_xattr(rig.context(), file->number, name, std::as_bytes(std::span(value)), flag);
  std::optional<ErrorCode> expected;
  if (flag == XATTR_CREATE && xattrs.contains(name)) expected = ErrorCode::already_exists;
  if (flag == XATTR_REPLACE && !xattrs.contains(name)) expected = ErrorCode::no_attribute;
  ASSERT_EQ(error_of(status), expected);
  if (!expected) xattrs[name] = value;
}

void Model::compare(InodeNumber number, const Node& node) {
  const Attributes attributes = rig.stat(number);
  ASSERT_EQ(attributes.mode & S_IFMT, node.mode & S_IFMT);
  for (const auto& [name, value] : node.xattrs) {
    ASSERT_EQ(rig.volume().get_xattr(rig.context(), number, name).value_or("missing"), value);
  }
  const auto listed = rig.volume().list_xattrs(rig.context(), number);
  ASSERT_TRUE(listed);
  ASSERT_EQ(static_cast<std::size_t>(std::count(listed->begin(), listed->end(), '\0')), node.xattrs.size());
  if (S_ISREG(node.mode)) {
    ASSERT_EQ(attributes.links, node.links);
    ASSERT_EQ(attributes.size, node.contents.size());
    const std::string contents = rig.read(number, 0, node.contents.size() + 1);
    ASSERT_EQ(contents.size(), node.contents.size());
    const auto differs = std::mismatch(contents.begin(), contents.end(), node.contents.begin());
    ASSERT_TRUE(differs.first == contents.end()) << "at " << differs.first - contents.begin();
  } else if (S_ISLNK(node.mode)) {
    ASSERT_EQ(rig.volume().read_symlink(rig.context(), number).value_or("?"), node.target);
  } else {
    std::vector<std::string> expected;
    for (const auto& [name, child] : node.names) expected.push_back(name);
    ASSERT_EQ(rig.names(number), expected);
    for (const auto& [name, child] : node.names) ASSERT_NO_FATAL_FAILURE(compare(rig.find(number, name), *child));
  }
}

void Model::step() {
  switch (below(16)) {
    case 0:
    case 1:
    case 2: return make();
    case 3: return link();
    case 4:
    case 5: return remove();
    case 6:
    case 7: return rename();
    case 8:
    case 9:
    case 10: return write();
    case 11: return truncate();
    case 12:
    case 13: return allocate();
    case 14: return seek();
    default: return change_xattr();
  }
}

TEST_P(Model, RandomOperations) {
  constexpr int kRounds = 60;
  constexpr int kSteps = 100;
  const std::uint64_t free = rig.free_blocks();
  for (int round = 0; round < kRounds; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    for (int i = 0; i < kSteps; ++i) ASSERT_NO_FATAL_FAILURE(step()) << "step " << i;
    const std::uint64_t how = below(4);
    if (how == 1) {
      ASSERT_TRUE(rig.volume().store().checkpoint(rig.io()));
    }
    if (how == 2) rig.remount();
    if (how == 3) {
      // All that was synced is there after a crash, and nothing but a prefix of what was not: here nothing more was
      // done.
      ASSERT_TRUE(rig.volume().sync_all(rig.context()));
      rig.crash();
      rig.mount();
    }
    ASSERT_NO_FATAL_FAILURE(compare(kRootInode, *root));
    rig.check();
  }
  const auto remove_all = [&](auto&& self, InodeNumber number, Node& node) -> void {
    for (auto& [name, child] : node.names) {
      if (child->is_directory()) {
        self(self, rig.find(number, name), *child);
        ASSERT_TRUE(rig.volume().remove_directory(rig.context(), number, name));
      } else {
        ASSERT_TRUE(rig.volume().unlink(rig.context(), number, name));
      }
    }
  };
  remove_all(remove_all, kRootInode, *root);
  rig.check();
  EXPECT_EQ(rig.volume().space().inodes, 1U);
  EXPECT_EQ(rig.free_blocks(), free);
}

INSTANTIATE_TEST_SUITE_P(Geometries, Model, ::testing::Values(kSmallNodes, kMiddleNodes, kLargeNodes));

}  // namespace
}  // namespace ashlar::volume::testing
