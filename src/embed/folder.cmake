# Drives tools/tokenizer_diff.py; not part of a normal build.
add_executable(tokenizer_dump EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/tools/tokenizer_dump.cpp)
target_link_libraries(tokenizer_dump PRIVATE egptc_embed)
