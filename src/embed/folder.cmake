# Drives tools/tokenizer_diff.py; not part of a normal build.
add_executable(tokenizer_dump EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/tools/tokenizer_dump.cpp)
target_link_libraries(tokenizer_dump PRIVATE egptc_embed)
# Drives tools/pair_quality.py.
add_executable(pair_scores EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/tools/pair_scores.cpp)
target_link_libraries(pair_scores PRIVATE egptc_embed nlohmann_json::nlohmann_json)
