# Drives tools/train_verifier.py; not part of a normal build.
add_executable(pair_features EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/tools/pair_features.cpp)
target_link_libraries(pair_features PRIVATE egptc_match nlohmann_json::nlohmann_json)
