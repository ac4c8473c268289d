# Experiments of docs/quality.md; not part of a normal build.
add_executable(error_budget_bench EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/bench/error_budget.cpp)
target_link_libraries(error_budget_bench PRIVATE egptc_eval)
