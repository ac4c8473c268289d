#pragma once
// The listening socket that a service manager keeps for us (sd_listen_fds(3)): it stays open while the server
// is restarted, so that callers wait in its queue and none is refused.

#include "enhanced_gptcache/result.h"

namespace enhanced_gptcache::app {

/// File descriptor of the one socket this process was given, or -1. Takes it out of the environment, so that
/// nothing started from here believes it is its own. Once, before threads are made. kInvalidArgument: more
/// than one socket, or something that does not listen.
Result<int> take_inherited_socket();

}  // namespace enhanced_gptcache::app
