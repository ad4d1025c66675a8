#include "tests/posix/descriptor_operations.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>

namespace ashlar::posix_test {

void Surroundings::open_all() {
  directory = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  file = open("other", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  reader = open("other", O_RDONLY | O_CLOEXEC);
  appender = open("other", O_WRONLY | O_APPEND | O_CLOEXEC);
  memory = memfd_create("memory", MFD_CLOEXEC);
  null = open("/dev/null", O_RDWR | O_CLOEXEC);
  epoll = epoll_create1(EPOLL_CLOEXEC);
  if (directory < 0 || file < 0 || reader < 0 || appender < 0 || memory < 0 || null < 0 || epoll < 0 ||
      pipe2(pipe.data(), O_CLOEXEC | O_NONBLOCK) != 0 || write(file, buffer.data(), kFileBytes) != kFileBytes ||
      write(memory, buffer.data(), kFileBytes) != kFileBytes) {
    throw std::runtime_error("cannot open what the operations need");
  }
}

std::int64_t limited(const std::function<std::int64_t()>& call) {
  rlimit before{};
  if (getrlimit(RLIMIT_FSIZE, &before) != 0) return -1;
  const rlimit limit{kLimit, before.rlim_max};
  if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return -1;
  const std::int64_t result = call();
  const int error = errno;
  if (setrlimit(RLIMIT_FSIZE, &before) != 0) return -1;
  errno = error;
  return result;
}

std::vector<DescriptorOperation> descriptor_operations(Surroundings& with) {
  OperationTable table(with);
  add_contents_operations(table);
  add_sharing_operations(table);
  table.begin_what_owners_may();
  add_attribute_operations(table);
  return table.take();
}

char* bad_address() {
  return reinterpret_cast<char*>(8);  // NOLINT(performance-no-int-to-ptr): that is the point
}

}  // namespace ashlar::posix_test
