# gcc 12, under a sanitizer, pairs a coroutine frame's operator delete with the aligned_alloc inside its operator
# new and calls them mismatched.
if(EGPTC_SANITIZE)
  set_source_files_properties(${dir}/flight_run.cpp ${dir}/shadow_check.cpp PROPERTIES COMPILE_OPTIONS -Wno-mismatched-new-delete)
endif()
