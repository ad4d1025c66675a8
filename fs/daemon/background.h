// Going into the background, ready when the command returns.
#pragma once

#include <string>

namespace ashlar::daemon {

// Tells the waiting command how it went. In the foreground there is nobody to tell.
class Readiness {
 public:
  Readiness() = default;  // foreground
  explicit Readiness(int pipe) noexcept : pipe_(pipe) {}
  ~Readiness();
  Readiness(Readiness&& other) noexcept;
  Readiness(const Readiness&) = delete;
  Readiness& operator=(const Readiness&) = delete;
  Readiness& operator=(Readiness&&) = delete;

  // The command ends with status 0 and prints `text`, if any, to standard output.
  void ready(const std::string& text);
  // The command ends with `status` and prints `text` to standard error.
  void failed(int status, const std::string& text);

 private:
  void send(char kind, int status, const std::string& text);
  int pipe_ = -1;
};

// Forks. Returns in the child, detached from the terminal; the parent does not return: it waits for the child's word
// and exits as that says (with 1 and a line when the child dies without one). Call before any thread or ring is made.
[[nodiscard]] Readiness go_into_background(const std::string& device);

}  // namespace ashlar::daemon
