# Driven by bench/index_compare.py; not part of a normal build.
add_executable(index_bench EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/bench/index_bench.cpp)
target_link_libraries(index_bench PRIVATE egptc_index)
