// As GoogleTest's own, and at the end the sum of what was checked.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <ctime>
#include <iostream>

#include "tests/crash/checker.h"

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  const int status = RUN_ALL_TESTS();
  const ashlar::crash_test::Tally tally = ashlar::crash_test::Checker::total();
  if (tally.states == 0) return status;
  const double seconds = static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
  std::cout << fmt::format("Crash states checked: {}; {:.0f} s of processor time, {:.0f} states in each\n",
                           text_of(tally), seconds, static_cast<double>(tally.states) / seconds);
  return status;
}
