set(ALLOCATOR_SOURCES
  allocator/allocator.cc
  allocator/bitmap.cc
  allocator/bitmap_loading.cc
  allocator/checking.cc
  allocator/freezing.cc
  allocator/group_table.cc
  allocator/searching.cc)
