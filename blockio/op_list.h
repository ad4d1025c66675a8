// Operations in a row, linked through themselves.
#pragma once

#include <cstddef>

#include "blockio/io_op.h"

namespace ashlar::blockio {

// `Link` gives access to an operation's link.
template <auto Link>
class OpList {
 public:
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  void push(IoOp& op) noexcept {
    Link(op) = nullptr;
    (size_ == 0 ? first_ : Link(*last_)) = &op;
    last_ = &op;
    ++size_;
  }
  IoOp& pop() noexcept {
    IoOp& op = *first_;
    first_ = Link(op);
    --size_;
    return op;
  }

 private:
  IoOp* first_ = nullptr;
  IoOp* last_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace ashlar::blockio
