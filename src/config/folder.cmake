# The generator of docs/settings.md and the sample files; the unit test checks that they are fresh.
add_executable(egptc_gen_settings_docs EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/tools/gen_settings_docs.cpp)
target_link_libraries(egptc_gen_settings_docs PRIVATE egptc_config)
target_compile_definitions(egptc_gen_settings_docs PRIVATE EGPTC_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
