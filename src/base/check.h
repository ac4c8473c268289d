#pragma once
// EGPTC_CHECK: a broken invariant of ours ends the process, in release builds too. Never for
// anything that comes from outside (files, settings, requests): those return errors.

#include <cstdio>
#include <cstdlib>

#define EGPTC_CHECK(cond)                                                             \
  do {                                                                                \
    if (!(cond)) {                                                                    \
      std::fprintf(stderr, "CHECK failed: %s at %s:%d\n", #cond, __FILE__, __LINE__); \
      std::abort();                                                                   \
    }                                                                                 \
  } while (false)
