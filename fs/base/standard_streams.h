// Standard input, output and error of a program that whoever started it may have closed, or connected to what takes
// nothing.
#pragma once

#include <fmt/core.h>

#include <cstdio>
#include <string_view>
#include <utility>

namespace ashlar {

// Puts /dev/null where a standard stream is closed. Otherwise the next file opened, which may be the device, gets that
// number, and what the program prints goes into it. First of all in main(). False when that cannot be done: then
// nothing may be opened.
[[nodiscard]] bool occupy_standard_streams() noexcept;

// What cannot be written is dropped: no report is worth a repair left half done. Whether all of it arrived is asked at
// the end.
void print_text(FILE* stream, std::string_view text) noexcept;

template <typename... Args>
void print(FILE* stream, fmt::format_string<Args...> format, Args&&... args) {
  print_text(stream, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void print(fmt::format_string<Args...> format, Args&&... args) {
  print_text(stdout, fmt::format(format, std::forward<Args>(args)...));
}

// Whether all that went to standard output got there; what is buffered goes now.
[[nodiscard]] bool output_arrived() noexcept;

// The end of main(): `status`, with `failure` added (by or) when something that went to standard output did not get
// there, which a line on standard error then says in the name of `program`.
[[nodiscard]] int finish_output(std::string_view program, int status, int failure) noexcept;

}  // namespace ashlar
