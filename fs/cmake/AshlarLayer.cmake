# ashlar_layer(NAME SOURCES ... [PUBLIC libs] [PRIVATE libs]): a static library ashlar::NAME.
# Every layer links the base below it; other layers are named by hand, which is what keeps the direction.
function(ashlar_layer name)
  cmake_parse_arguments(LAYER "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(ashlar_${name} STATIC ${LAYER_SOURCES})
  add_library(ashlar::${name} ALIAS ashlar_${name})
  target_link_libraries(ashlar_${name}
    PUBLIC ashlar_options Threads::Threads tl::expected ${LAYER_PUBLIC}
    PRIVATE ${LAYER_PRIVATE})
endfunction()

# ashlar_test(NAME SOURCES ... LIBS ... [LABELS ...] [TIMEOUT seconds] [RESOURCE_LOCK name] [ALONE]): a GoogleTest
# binary, one ctest entry a test case. Labels choose what a CI stage builds (target tests_LABEL) and runs (ctest -L):
#   unit      the default: needs no mount; also runs under ASan and UBSan
#   threaded  in addition to unit: also runs under TSan
#   mount     instead of unit: mounts volumes, so it needs root, /dev/fuse and loop devices
# Tests with the same RESOURCE_LOCK never run at the same time; those that are ALONE with no other: they change the
# machine for all.
function(ashlar_test name)
  cmake_parse_arguments(TEST "ALONE" "TIMEOUT;RESOURCE_LOCK" "SOURCES;LIBS;LABELS" ${ARGN})
  if(NOT TEST_TIMEOUT)
    set(TEST_TIMEOUT 300)
  endif()
  if(NOT "mount" IN_LIST TEST_LABELS AND NOT "unit" IN_LIST TEST_LABELS)
    list(APPEND TEST_LABELS unit)
  endif()
  add_executable(${name} ${TEST_SOURCES})
  target_link_libraries(${name} PRIVATE ashlar_options ${TEST_LIBS} GTest::gtest GTest::gmock GTest::gtest_main)
  # What is tested, and what tests share, is optimized as the build says. What they assert need not be: -O2 takes a quarter
  # longer to compile; -O0 is so slow that compiling faster does not pay.
  target_compile_options(${name} PRIVATE -O1)
  foreach(label IN LISTS TEST_LABELS)
    if(NOT TARGET tests_${label})
      add_custom_target(tests_${label})
    endif()
    add_dependencies(tests_${label} ${name})
  endforeach()
  # One label joined by dashes, as gtest_discover_tests cannot pass a list through.
  list(JOIN TEST_LABELS "-" labels)
  set(properties LABELS ${labels} TIMEOUT ${TEST_TIMEOUT})
  if(TEST_RESOURCE_LOCK)
    list(APPEND properties RESOURCE_LOCK ${TEST_RESOURCE_LOCK})
  endif()
  if(TEST_ALONE)
    list(APPEND properties RUN_SERIAL TRUE)
  endif()
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES ${properties})
endfunction()
