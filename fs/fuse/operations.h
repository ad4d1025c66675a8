// The operations by family; each function fills in its part of libfuse's table.
#pragma once

#include <fuse_lowlevel.h>

namespace ashlar::fuse {

void add_name_operations(fuse_lowlevel_ops& operations);       // names.cc
void add_directory_operations(fuse_lowlevel_ops& operations);  // directories.cc
void add_attribute_operations(fuse_lowlevel_ops& operations);  // attributes.cc
void add_control_operations(fuse_lowlevel_ops& operations);    // control.cc
void add_xattr_operations(fuse_lowlevel_ops& operations);      // xattrs.cc
void add_content_operations(fuse_lowlevel_ops& operations);    // contents.cc
void add_volume_operations(fuse_lowlevel_ops& operations);     // volume_operations.cc

[[nodiscard]] fuse_lowlevel_ops all_operations();

}  // namespace ashlar::fuse
