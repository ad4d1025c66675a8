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

# ashlar_test(NAME SOURCES ... LIBS ... [LABELS ...]): a GoogleTest binary, one ctest entry a test case.
function(ashlar_test name)
  cmake_parse_arguments(TEST "" "TIMEOUT" "SOURCES;LIBS;LABELS" ${ARGN})
  if(NOT TEST_TIMEOUT)
    set(TEST_TIMEOUT 300)
  endif()
  add_executable(${name} ${TEST_SOURCES})
  target_link_libraries(${name} PRIVATE ${TEST_LIBS} GTest::gtest GTest::gmock GTest::gtest_main)
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60
    PROPERTIES LABELS "${TEST_LABELS}" TIMEOUT ${TEST_TIMEOUT})
endfunction()
