# The console's files inside the library. They are committed as they are served (console/README.md), so a
# build needs neither Node nor a network.
find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)
file(GLOB console_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/console/generated/*)
set(console_source ${CMAKE_BINARY_DIR}/generated/console_files.cpp)
add_custom_command(OUTPUT ${console_source}
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tools/embed_files.py ${console_source} ${console_files}
  DEPENDS ${CMAKE_SOURCE_DIR}/tools/embed_files.py ${console_files}
  COMMENT "embedding the console" VERBATIM)
set_source_files_properties(${console_source} PROPERTIES COMPILE_OPTIONS "-Wno-overlength-strings")
target_sources(egptc_admin PRIVATE ${console_source})
