# `cpack` in the build folder: a Debian package of what `cmake --install` installs, for /usr.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME ashlarfs)
set(CPACK_PACKAGE_CONTACT "AshlarFS developers <ashlarfs@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "crash-proof, checksummed filesystem in user space")
set(CPACK_PACKAGE_DESCRIPTION
  "AshlarFS lives on a block device or in an image file and is mounted through FUSE. This package has the daemon
 (mount.ashlarfs), mkfs.ashlarfs, fsck.ashlarfs, and ashlarctl.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL programs)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# fusermount3, for users who mount their own images.
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS fuse3)
include(CPack)
