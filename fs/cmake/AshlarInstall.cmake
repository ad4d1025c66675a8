# `cmake --install`: the programs under the names and in the places where mount(8), mkfs(8) and fsck(8) look for them, and
# the manual pages, and completion for bash. mount(8) looks in /sbin and /usr/sbin only: configure with -DCMAKE_INSTALL_PREFIX=/usr for that.
include(GNUInstallDirs)

install(TARGETS ashlarfs RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT programs)
install(TARGETS ashlarctl mkfs.ashlarfs fsck.ashlarfs RUNTIME DESTINATION ${CMAKE_INSTALL_SBINDIR} COMPONENT programs)
file(RELATIVE_PATH ASHLAR_DAEMON_FROM_SBIN ${CMAKE_INSTALL_FULL_SBINDIR} ${CMAKE_INSTALL_FULL_BINDIR}/ashlarfs)
file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/install)
file(CREATE_LINK ${ASHLAR_DAEMON_FROM_SBIN} ${CMAKE_CURRENT_BINARY_DIR}/install/mount.ashlarfs SYMBOLIC)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/install/mount.ashlarfs DESTINATION ${CMAKE_INSTALL_SBINDIR} COMPONENT programs)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man8 COMPONENT programs
  FILES_MATCHING PATTERN "*.8")
foreach(program ashlarctl ashlarfs fsck.ashlarfs mkfs.ashlarfs)
  install(FILES ${CMAKE_CURRENT_LIST_DIR}/ashlarfs.bash-completion RENAME ${program}
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT programs)
endforeach()
