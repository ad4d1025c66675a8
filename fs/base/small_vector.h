// A vector whose first elements lie in itself: for the few of something that nearly every operation has.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

namespace ashlar {

// The part of std::vector that is needed, with its rules for iterators. Up to `Inline` elements cost no allocation.
template <typename T, std::size_t Inline>
class SmallVector {
  static_assert(Inline > 0 && std::is_nothrow_move_constructible_v<T> && std::is_nothrow_move_assignable_v<T>);

 public:
  using value_type = T;
  using iterator = T*;
  using const_iterator = const T*;

  SmallVector() noexcept = default;
  SmallVector(const SmallVector& other) { append(other.begin(), other.end()); }
  SmallVector(SmallVector&& other) noexcept { take(other); }
  SmallVector& operator=(const SmallVector& other) {
    if (this != &other) assign(other.begin(), other.end());
    return *this;
  }
  SmallVector& operator=(SmallVector&& other) noexcept {
    if (this == &other) return *this;
    release();
    take(other);
    return *this;
  }
  ~SmallVector() { release(); }

  [[nodiscard]] T* data() noexcept { return data_; }
  [[nodiscard]] const T* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] iterator begin() noexcept { return data_; }
  [[nodiscard]] iterator end() noexcept { return data_ + size_; }
  [[nodiscard]] const_iterator begin() const noexcept { return data_; }
  [[nodiscard]] const_iterator end() const noexcept { return data_ + size_; }
  [[nodiscard]] T& operator[](std::size_t index) noexcept { return data_[index]; }
  [[nodiscard]] const T& operator[](std::size_t index) const noexcept { return data_[index]; }
  [[nodiscard]] T& back() noexcept { return data_[size_ - 1]; }
  [[nodiscard]] const T& back() const noexcept { return data_[size_ - 1]; }

  void reserve(std::size_t capacity) {
    if (capacity > capacity_) grow(capacity);
  }
  void push_back(T value) {
    if (size_ == capacity_) grow(size_ + 1);
    std::construct_at(data_ + size_, std::move(value));
    ++size_;
  }
  // From elsewhere.
  template <typename Iterator>
  void append(Iterator first, Iterator last) {
    const auto count = static_cast<std::size_t>(std::distance(first, last));
    reserve(size_ + count);
    std::uninitialized_copy(first, last, end());
    size_ += count;
  }
  template <typename Iterator>
  void assign(Iterator first, Iterator last) {
    clear();
    append(first, last);
  }
  void resize(std::size_t size) {
    reserve(size);
    if (size > size_) std::uninitialized_value_construct(end(), data_ + size);
    if (size < size_) std::destroy(data_ + size, end());
    size_ = size;
  }
  iterator insert(const_iterator before, T value) {
    const std::ptrdiff_t index = before - begin();
    push_back(std::move(value));
    std::rotate(begin() + index, end() - 1, end());
    return begin() + index;
  }
  iterator erase(const_iterator at) {
    T* const position = begin() + (at - begin());
    std::move(position + 1, end(), position);
    std::destroy_at(&back());
    --size_;
    return position;
  }
  void clear() noexcept {
    std::destroy(begin(), end());
    size_ = 0;
  }

 private:
  [[nodiscard]] T* inline_data() noexcept { return reinterpret_cast<T*>(inline_); }

  void grow(std::size_t least) {
    const std::size_t capacity = std::max(least, 2 * capacity_);
    T* const larger = std::allocator<T>().allocate(capacity);
    std::uninitialized_move(begin(), end(), larger);
    const std::size_t size = size_;
    release();
    data_ = larger;
    capacity_ = capacity;
    size_ = size;
  }
  // Afterwards empty and inline.
  void release() noexcept {
    clear();
    if (data_ != inline_data()) std::allocator<T>().deallocate(data_, capacity_);
    data_ = inline_data();
    capacity_ = Inline;
  }
  // Into one that is empty and inline; so is the other afterwards.
  void take(SmallVector& other) noexcept {
    if (other.data_ == other.inline_data()) {
      std::uninitialized_move(other.begin(), other.end(), data_);
      size_ = other.size_;
      other.clear();
      return;
    }
    data_ = std::exchange(other.data_, other.inline_data());
    capacity_ = std::exchange(other.capacity_, Inline);
    size_ = std::exchange(other.size_, 0);
  }

  alignas(T) std::byte inline_[Inline * sizeof(T)];
  T* data_ = inline_data();
  std::size_t size_ = 0;
  std::size_t capacity_ = Inline;
};

}  // namespace ashlar
