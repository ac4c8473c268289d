"""What a figure must be before it counts: every answer right, and enough samples for its percentile."""

HITS_WANTED = 0.99
SAMPLES_OF_P99 = 1000


def fault(found):
    """Why a load of `bench` does not count as served, or nothing: every answer must be a 200."""
    if found["failed"]:
        return f"{found['failed']} connections ended under a request"
    if set(found["statuses"]) != {"200"}:
        return f"statuses {found['statuses']}"
    return ""


def all_served(found, what):
    """Raises RuntimeError unless every answer was a 200."""
    reason = fault(found)
    if reason:
        raise RuntimeError(f"{what}: {reason}")
    return found


def enough_hits(hits, asked, what):
    """The share of hits; raises RuntimeError below HITS_WANTED: refusals are no hits."""
    if asked == 0 or hits < HITS_WANTED * asked:
        raise RuntimeError(f"{what}: {hits} hits of {asked} asked, fewer than {HITS_WANTED:.0%}")
    return hits / asked
