# Machine flags per kernel file; nothing else of the program may use these instructions.
# g++ 12 calls its own "undefined register" intrinsics uninitialised, hence -Wno-*uninitialized.
# -ffp-contract=off: what is fused is written as an fma intrinsic, so that every build agrees.
set(undefined_flags -Wno-uninitialized -Wno-maybe-uninitialized)
set(scalar_flags "-O3;-ffp-contract=off")
set_source_files_properties(${CMAKE_SOURCE_DIR}/src/simd/kernels_scalar.cpp
  PROPERTIES COMPILE_OPTIONS "${scalar_flags}")
set(neon_file ${CMAKE_SOURCE_DIR}/src/simd/kernels_neon.cpp)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  set_source_files_properties(${neon_file}
    PROPERTIES COMPILE_OPTIONS "-O3;-ffp-contract=off;-march=armv8.2-a+dotprod")
else()
  set_source_files_properties(${neon_file} PROPERTIES HEADER_FILE_ONLY ON)
endif()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set_source_files_properties(
    ${CMAKE_SOURCE_DIR}/src/simd/kernels_avx2.cpp
    ${CMAKE_SOURCE_DIR}/src/simd/kernels_avx2_attention.cpp
    ${CMAKE_SOURCE_DIR}/src/simd/kernels_avx2_float.cpp
    PROPERTIES COMPILE_OPTIONS "-O3;-ffp-contract=off;-mavx2;-mfma")
  set_source_files_properties(
    ${CMAKE_SOURCE_DIR}/src/simd/kernels_avx512vnni.cpp
    ${CMAKE_SOURCE_DIR}/src/simd/kernels_avx512vnni_attention.cpp
    ${CMAKE_SOURCE_DIR}/src/simd/kernels_avx512vnni_float.cpp
    PROPERTIES COMPILE_OPTIONS
    "-O3;-ffp-contract=off;-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mavx512vnni;-mfma;${undefined_flags}")
else()
  set_source_files_properties(
    ${CMAKE_SOURCE_DIR}/src/simd/kernels_avx2.cpp
    ${CMAKE_SOURCE_DIR}/src/simd/kernels_avx2_attention.cpp
    ${CMAKE_SOURCE_DIR}/src/simd/kernels_avx2_float.cpp
    ${CMAKE_SOURCE_DIR}/src/simd/kernels_avx512vnni.cpp
    ${CMAKE_SOURCE_DIR}/src/simd/kernels_avx512vnni_attention.cpp
    ${CMAKE_SOURCE_DIR}/src/simd/kernels_avx512vnni_float.cpp
    PROPERTIES HEADER_FILE_ONLY ON)
endif()

# Measuring programs over simd and embed; not part of a normal build. (Target names resolve late, so it
# does not matter that egptc_embed is declared after this folder.)
add_executable(embed_vectors EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/tools/embed_vectors.cpp)
target_link_libraries(embed_vectors PRIVATE egptc_embed nlohmann_json::nlohmann_json)
add_executable(embed_bench EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/bench/embed_bench.cpp)
target_link_libraries(embed_bench PRIVATE egptc_embed)
