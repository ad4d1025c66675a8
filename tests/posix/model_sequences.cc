// Which operations the model check does.
#include <random>
#include <sstream>

#include "tests/posix/model_operations.h"

namespace ashlar::posix_test {
namespace {

std::array<char, 16> random_path(std::mt19937& random) {
  constexpr std::array kNames = {"a", "b", "c"};
  std::string path = kNames.at(random() % kNames.size());
  while (random() % 2 == 0 && path.size() < 7) path += std::string("/") + kNames.at(random() % kNames.size());
  std::array<char, 16> result{};
  path.copy(result.data(), result.size() - 1);
  return result;
}

}  // namespace

std::string Operation::text() const {
  std::ostringstream text;
  text << "act " << static_cast<unsigned>(act) << ' ' << first.data() << ' ' << second.data() << ' ' << number << " by "
       << caller;
  return text.str();
}

std::vector<Operation> random_sequence(std::mt19937& random, std::size_t length) {
  std::vector<Operation> sequence(length);
  for (Operation& operation : sequence) {
    operation.act = static_cast<Act>(random() % static_cast<unsigned>(Act::count));
    // Something to work on.
    if (random() % 4 == 0) operation.act = random() % 2 == 0 ? Act::make_directory : Act::create;
    operation.first = random_path(random);
    operation.second = random_path(random);
    operation.number = static_cast<unsigned>(random());
    operation.caller = static_cast<unsigned>(random() % Actor::kActors);
  }
  return sequence;
}

}  // namespace ashlar::posix_test
