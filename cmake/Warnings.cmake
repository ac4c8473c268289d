# Warnings are errors in every preset; third-party headers come in as SYSTEM.
add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wall> $<$<COMPILE_LANGUAGE:CXX>:-Wextra> -Werror
  $<$<COMPILE_LANGUAGE:CXX>:-Wshadow=local> $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>
  $<$<COMPILE_LANGUAGE:CXX>:-Woverloaded-virtual> -Wno-psabi
  # gcc 12 bug 105651: a false -Wrestrict on std::string concatenation.
  $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>)
add_compile_options(-fno-omit-frame-pointer -fstack-protector-strong)
add_compile_definitions($<$<CONFIG:Release>:_FORTIFY_SOURCE=2>)
# Boost.Asio: one way of doing each thing, and the concept checks that trip gcc 12 off.
add_compile_definitions(BOOST_ASIO_DISABLE_CONCEPTS BOOST_ASIO_NO_DEPRECATED)
if(EGPTC_SANITIZE)
  add_compile_options(-fsanitize=${EGPTC_SANITIZE} -fno-sanitize-recover=all -g)
  add_link_options(-fsanitize=${EGPTC_SANITIZE})
  if(EGPTC_SANITIZE MATCHES thread)
    add_compile_options(-Wno-tsan)
  endif()
  # gcc 12 reports false "maybe uninitialized" under sanitizers.
  add_compile_options(-Wno-maybe-uninitialized)
endif()
if(EGPTC_COVERAGE)
  add_compile_options(--coverage -fprofile-abs-path -fprofile-update=atomic)
  add_link_options(--coverage)
endif()
