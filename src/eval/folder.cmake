# Experiments of docs/quality.md; not part of a normal build.
add_executable(error_budget_bench EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/bench/error_budget.cpp)
target_link_libraries(error_budget_bench PRIVATE egptc_eval)
# Also a test: it fails when poisoned clients move the others.
add_executable(federated_simulation ${CMAKE_SOURCE_DIR}/bench/federated_simulation.cpp)
target_link_libraries(federated_simulation PRIVATE egptc_eval)
if(EGPTC_TESTS)
  add_test(NAME bench.federated_simulation COMMAND federated_simulation)
  set_tests_properties(bench.federated_simulation PROPERTIES TIMEOUT 120)
endif()
