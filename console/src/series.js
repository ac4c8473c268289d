// Rates and distributions from counts that only grow.

const minus = (now, before) => Math.max(0, now - (before ?? 0));

/** Of requests the cache was asked for: bypasses did not want it. */
export function shares(now, before = {}) {
  const hits = minus(now.hit, before.hit);
  const asked = hits + minus(now.miss, before.miss) + minus(now.refresh, before.refresh);
  return { asked, hitRate: asked ? hits / asked : null };
}

/** Share of a layer's attempts that hit; null without attempts. */
export function rate(now, before = {}) {
  const hits = minus(now.hits, before.hits);
  const attempts = hits + minus(now.misses, before.misses);
  return attempts ? hits / attempts : null;
}

const STEPS_MS = [0.1, 0.5, 1, 5, 10, 50, 100, 500, 1000, 5000];
const unit = (value) => (value >= 1000 ? `${value / 1000} s` : `${value} ms`);

/** The server's buckets in few steps people read: [{name, hits, misses}], empty ends left out. */
export function distribution({ bounds_ms: bounds, series }) {
  const below = (view, bound) => view.buckets[bounds.indexOf(bound)] ?? view.count;
  const steps = [...STEPS_MS.filter((step) => bounds.includes(step)), Infinity];
  const bins = steps.map((step, at) => {
    const bin = {
      name: at === 0 ? `to ${unit(step)}` : `${unit(steps[at - 1])} to ${unit(step)}`,
      hits: 0,
      misses: 0,
    };
    if (step === Infinity) bin.name = `over ${unit(steps[at - 1])}`;
    for (const view of series) {
      const upTo = step === Infinity ? view.count : below(view, step);
      const inside = upTo - (at === 0 ? 0 : below(view, steps[at - 1]));
      bin[view.outcome === "hit" ? "hits" : "misses"] += inside;
    }
    return bin;
  });
  const used = bins.map((bin) => bin.hits + bin.misses > 0);
  return bins.slice(Math.max(0, used.indexOf(true)), used.lastIndexOf(true) + 1);
}

/** Cumulative counts of hits and misses as one row for each bucket that holds any. */
export function steps({ bounds, hit, miss }) {
  const own = (counts, at) => counts[at] - (at ? counts[at - 1] : 0);
  return bounds
    .map((bound, at) => ({
      name: `${at ? bounds[at - 1] : 0} to ${bound}`,
      hit: own(hit, at),
      miss: own(miss, at),
    }))
    .filter((step) => step.hit + step.miss > 0);
}

/**
 * What a threshold of `probability` would have done with the labelled decisions of /admin/stats. A bin
 * belongs to the side its lower end is on, so `probability` should be a multiple of a hundredth.
 */
export function outcomeAt(bins, probability) {
  const sum = (values) => Object.values(values).reduce((total, one) => total + one, 0);
  const out = { labels: 0, served: 0, wrong: 0, withheldRight: 0, withheldWrong: 0, regained: 0, lost: 0 };
  for (const bin of bins) {
    const [right, wrong] = [sum(bin.right), sum(bin.wrong)];
    out.labels += right + wrong;
    if (bin.from >= probability - 1e-9) {
      out.served += right + wrong;
      out.wrong += wrong;
      out.regained += bin.lost;
    } else {
      out.withheldRight += right;
      out.withheldWrong += wrong;
      out.lost += bin.lost;
    }
  }
  return out;
}
