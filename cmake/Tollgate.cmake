# How rooms, tests and flags are declared. One target a room: tollgate::<room>.
include(CheckCXXCompilerFlag)
find_package(Threads REQUIRED)

add_library(tollgate_flags INTERFACE)
target_compile_options(tollgate_flags INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Werror
  -fno-omit-frame-pointer)
target_include_directories(tollgate_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_definitions(tollgate_flags INTERFACE BOOST_ASIO_NO_DEPRECATED
  BOOST_ASIO_DISABLE_BOOST_DATE_TIME)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports false positives inside libstdc++ and Asio at -O2.
  target_compile_options(tollgate_flags INTERFACE -Wno-maybe-uninitialized -Wno-array-bounds
    -Wno-stringop-overflow -Wno-stringop-overread -Wno-restrict -Wno-dangling-pointer
    -Wno-mismatched-new-delete)
endif()
if(TOLLGATE_SANITIZE STREQUAL "address")
  # vptr: the check opens a pipe to see whether memory can be read, and so reports every virtual
  # call as invalid in the tests that use up all file descriptors.
  target_compile_options(tollgate_flags INTERFACE -fsanitize=address,undefined
    -fno-sanitize=vptr -fno-sanitize-recover=undefined)
  target_link_options(tollgate_flags INTERFACE -fsanitize=address,undefined)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    target_compile_options(tollgate_flags INTERFACE -fno-sanitize=function)
  endif()
elseif(TOLLGATE_SANITIZE STREQUAL "thread")
  target_compile_options(tollgate_flags INTERFACE -fsanitize=thread)
  target_link_options(tollgate_flags INTERFACE -fsanitize=thread)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(tollgate_flags INTERFACE -Wno-tsan)
  endif()
endif()

# tollgate_room(<name> SOURCES a.cc … ROOMS base wire … LIBS snappy …)
# ROOMS are public dependencies on lower layers; LIBS are private third-party libraries.
function(tollgate_room name)
  cmake_parse_arguments(R "" "" "SOURCES;ROOMS;LIBS;PUBLIC_LIBS" ${ARGN})
  add_library(tollgate_${name} STATIC ${R_SOURCES})
  add_library(tollgate::${name} ALIAS tollgate_${name})
  list(TRANSFORM R_ROOMS PREPEND tollgate::)
  target_link_libraries(tollgate_${name} PUBLIC tollgate_flags Threads::Threads ${R_ROOMS}
    ${R_PUBLIC_LIBS} PRIVATE ${R_LIBS})
endfunction()

# tollgate_test(<room> <file_test.cc>… [LIBS …]): one GoogleTest binary a room: <room>_tests.
# tollgate_test(NAME … LABELS unit|e2e TIMEOUT s)
function(tollgate_test name)
  cmake_parse_arguments(T "" "TIMEOUT;LABEL" "SOURCES;ROOMS;LIBS" ${ARGN})
  if(NOT T_LABEL)
    set(T_LABEL unit)
  endif()
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 300)
  endif()
  add_executable(${name} ${T_SOURCES})
  list(TRANSFORM T_ROOMS PREPEND tollgate::)
  target_link_libraries(${name} PRIVATE tollgate_flags ${T_ROOMS} ${T_LIBS} GTest::gtest
    GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE TOLLGATE_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS ${T_LABEL} TIMEOUT ${T_TIMEOUT})
  if(T_LABEL STREQUAL "e2e")
    set_tests_properties(${name} PROPERTIES RUN_SERIAL TRUE)  # real processes, real time
  endif()
endfunction()
