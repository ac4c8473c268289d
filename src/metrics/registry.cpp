#include "metrics/registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <mutex>

#include "base/check.h"

namespace enhanced_gptcache::metrics {
namespace {

constexpr std::string_view kOther = "other";

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  if (value == std::floor(value) && std::fabs(value) < 1e15) return fmt::format("{:.0f}", value);
  return fmt::format("{}", value);
}

/// HELP escapes \ and line feeds; label values also quotes.
std::string escaped(std::string_view text, bool quotes) {
  std::string out;
  for (const char c : text) {
    if (c == '\\')
      out += "\\\\";
    else if (c == '\n')
      out += "\\n";
    else if (c == '"' && quotes)
      out += "\\\"";
    else
      out += c;
  }
  return out;
}

bool is_metric_name(std::string_view name) {
  return !name.empty() && (name[0] < '0' || name[0] > '9') &&
         name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_:") ==
             std::string_view::npos;
}

using Values = std::vector<std::string>;

/// {a="x",b="y"}, or nothing without labels; `more` is a ready pair that comes last (le).
std::string label_text(const Values& names, const Values& values, std::string_view more = "") {
  std::string out;
  for (size_t i = 0; i < names.size(); ++i) {
    out += fmt::format("{}{}=\"{}\"", i == 0 ? "" : ",", names[i], escaped(values[i], true));
  }
  if (!more.empty()) out += fmt::format("{}{}", out.empty() ? "" : ",", more);
  return out.empty() ? "" : "{" + out + "}";
}

/// Anything with a name that renders itself.
class AnyFamily {
 public:
  AnyFamily(FamilyOptions options, std::string_view type) : options_(std::move(options)), type_(type) {
    EGPTC_CHECK(is_metric_name(options_.name));
    EGPTC_CHECK(options_.series_max > 0);
    for (const std::string& label : options_.labels) {
      EGPTC_CHECK(is_metric_name(label) && label.find(':') == std::string::npos && label != "le");
    }
  }
  virtual ~AnyFamily() = default;
  AnyFamily(const AnyFamily&) = delete;
  AnyFamily& operator=(const AnyFamily&) = delete;

  const FamilyOptions& options() const { return options_; }
  std::string_view type() const { return type_; }

  std::string text() const {
    const std::string samples = render();
    if (samples.empty()) return "";
    return fmt::format("# HELP {} {}\n# TYPE {} {}\n{}", options_.name, escaped(options_.help, false),
                       options_.name, type_, samples);
  }

 private:
  virtual std::string render() const = 0;

  const FamilyOptions options_;
  const std::string_view type_;
};

std::string render_series(const FamilyOptions& options, const Values& values, const Counter& counter) {
  return fmt::format("{}{} {}\n", options.name, label_text(options.labels, values), counter.value());
}

std::string render_series(const FamilyOptions& options, const Values& values, const Gauge& gauge) {
  return fmt::format("{}{} {}\n", options.name, label_text(options.labels, values), number(gauge.value()));
}

std::string render_series(const FamilyOptions& options, const Values& values, const Histogram& histogram) {
  const Histogram::View view = histogram.view();
  std::string out;
  for (size_t i = 0; i < view.buckets.size(); ++i) {
    const double bound = i < histogram.bounds().size() ? histogram.bounds()[i] : INFINITY;
    out += fmt::format("{}_bucket{} {}\n", options.name,
                       label_text(options.labels, values, fmt::format("le=\"{}\"", number(bound))),
                       view.buckets[i]);
  }
  const std::string labels = label_text(options.labels, values);
  out +=
      fmt::format("{0}_sum{1} {2}\n{0}_count{1} {3}\n", options.name, labels, number(view.sum), view.count);
  return out;
}

/// The series of one name. std::map keeps them sorted and where they are.
template <typename Metric>
class FamilyOf final : public AnyFamily, public Family<Metric> {
 public:
  using Make = std::function<std::unique_ptr<Metric>()>;

  FamilyOf(FamilyOptions options, std::string_view type, Make make, std::vector<double> bounds = {})
      : AnyFamily(std::move(options), type), make_(std::move(make)), bounds_(std::move(bounds)) {
    // A name without labels has its one series from the start, so that its zero is visible.
    if (this->options().labels.empty()) with({});
  }

  Metric& with(Labels values) override {
    const size_t hash = hash_of(values);
    for (size_t i = 0; i < kProbes; ++i) {
      const Known* known = known_[(hash + i) % kSlots].load(std::memory_order_acquire);
      if (known == nullptr) break;
      if (known->hash == hash &&
          std::equal(values.begin(), values.end(), known->values->begin(), known->values->end()))
        return *known->metric;
    }
    return add(values, hash);
  }

  const std::vector<double>& bounds() const { return bounds_; }

 private:
  std::string render() const override {
    std::string out;
    const std::lock_guard lock(mutex_);
    for (const auto& [values, metric] : series_) out += render_series(options(), values, *metric);
    return out;
  }

  /// A series that with() finds without lock or allocation: requests ask for the same few again and again.
  /// Series are never removed, so what a slot once holds it holds for good.
  struct Known {
    size_t hash;
    const Values* values;  // the key in series_
    Metric* metric;
  };
  static constexpr size_t kSlots = 256, kProbes = 8;

  static size_t hash_of(Labels values) {
    size_t hash = 0;
    for (const std::string_view value : values) hash = hash * 31 + std::hash<std::string_view>{}(value);
    return hash;
  }

  Metric& add(Labels values, size_t hash) {
    EGPTC_CHECK(values.size() == options().labels.size());
    Values key(values.begin(), values.end());
    const std::lock_guard lock(mutex_);
    const bool is_full = series_.size() >= options().series_max && series_.count(key) == 0;
    if (is_full) key.assign(key.size(), std::string(kOther));
    const auto found = series_.try_emplace(std::move(key)).first;
    if (!found->second) found->second = make_();
    if (!is_full) remember({hash, &found->first, found->second.get()});
    return *found->second;
  }

  /// Where every slot in reach is taken, with() goes on asking add(). The caller holds mutex_.
  void remember(const Known& one) {
    for (size_t i = 0; i < kProbes; ++i) {
      std::atomic<const Known*>& slot = known_[(one.hash + i) % kSlots];
      const Known* taken = slot.load(std::memory_order_relaxed);
      if (taken != nullptr && taken->metric == one.metric) return;
      if (taken != nullptr) continue;
      kept_.push_back(one);
      slot.store(&kept_.back(), std::memory_order_release);
      return;
    }
  }

  const Make make_;
  const std::vector<double> bounds_;
  mutable std::mutex mutex_;
  std::map<Values, std::unique_ptr<Metric>> series_;  // guarded by mutex_
  std::deque<Known> kept_;                            // guarded by mutex_; what known_ points to
  std::array<std::atomic<const Known*>, kSlots> known_{};
};

/// Samples asked for at render time.
class Collected final : public AnyFamily {
 public:
  Collected(FamilyOptions options, Kind kind, std::function<std::vector<Sample>()> collect)
      : AnyFamily(std::move(options), kind == Kind::kCounter ? "counter" : "gauge"),
        collect_(std::move(collect)) {}

 private:
  std::string render() const override {
    std::map<Values, double> sums;
    for (const Sample& sample : collect_()) {
      EGPTC_CHECK(sample.labels.size() == options().labels.size());
      if (sums.size() >= options().series_max && sums.count(sample.labels) == 0) {
        sums[Values(sample.labels.size(), std::string(kOther))] += sample.value;
      } else {
        sums[sample.labels] += sample.value;
      }
    }
    std::string out;
    for (const auto& [values, value] : sums) {
      out += fmt::format("{}{} {}\n", options().name, label_text(options().labels, values), number(value));
    }
    return out;
  }

  const std::function<std::vector<Sample>()> collect_;
};

}  // namespace

size_t cell_of_thread() {
  static std::atomic<size_t> next{0};
  thread_local const size_t cell = next.fetch_add(1, std::memory_order_relaxed) % kCells;
  return cell;
}

uint64_t Counter::value() const {
  uint64_t sum = 0;
  for (const Cell& cell : cells_) sum += cell.value.load(std::memory_order_relaxed);
  return sum;
}

void Gauge::add(double amount) {
  double value = value_.load(std::memory_order_relaxed);
  while (!value_.compare_exchange_weak(value, value + amount, std::memory_order_relaxed)) {
  }
}

/// One thread's share: a count per bucket (the last is +Inf) and a sum.
struct Histogram::Cell {
  std::unique_ptr<std::atomic<uint64_t>[]> buckets;
  alignas(64) std::atomic<double> sum{0};
};

Histogram::~Histogram() = default;

Histogram::Histogram(std::vector<double> bounds)
    : bounds_(std::move(bounds)), cells_(std::make_unique<Cell[]>(kCells)) {
  EGPTC_CHECK(std::is_sorted(bounds_.begin(), bounds_.end()));
  // Rounded up to cache lines, so that the counts of two threads share at most the first one.
  const size_t slots = (bounds_.size() + 1 + 7) / 8 * 8;
  for (size_t i = 0; i < kCells; ++i) cells_[i].buckets = std::make_unique<std::atomic<uint64_t>[]>(slots);
}

void Histogram::record(double value) {
  if (std::isnan(value)) return;
  const size_t bucket =
      static_cast<size_t>(std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin());
  Cell& cell = cells_[cell_of_thread()];
  cell.buckets[bucket].fetch_add(1, std::memory_order_relaxed);
  double sum = cell.sum.load(std::memory_order_relaxed);
  while (!cell.sum.compare_exchange_weak(sum, sum + value, std::memory_order_relaxed)) {
  }
}

Histogram::View Histogram::view() const {
  View view;
  view.buckets.assign(bounds_.size() + 1, 0);
  for (size_t i = 0; i < kCells; ++i) {
    for (size_t b = 0; b < view.buckets.size(); ++b) {
      view.buckets[b] += cells_[i].buckets[b].load(std::memory_order_relaxed);
    }
    view.sum += cells_[i].sum.load(std::memory_order_relaxed);
  }
  for (size_t b = 1; b < view.buckets.size(); ++b) view.buckets[b] += view.buckets[b - 1];
  // The count is the last bucket by definition, so the two can never disagree within one scrape.
  view.count = view.buckets.back();
  return view;
}

class Registry::Impl {
 public:
  template <typename Metric>
  FamilyOf<Metric>& family(const FamilyOptions& options, std::string_view type,
                           typename FamilyOf<Metric>::Make make, std::vector<double> bounds = {}) {
    const std::lock_guard lock(mutex_);
    std::unique_ptr<AnyFamily>& slot = families_[options.name];
    if (!slot) {
      slot = std::make_unique<FamilyOf<Metric>>(options, type, std::move(make), std::move(bounds));
      return static_cast<FamilyOf<Metric>&>(*slot);
    }
    auto* same = dynamic_cast<FamilyOf<Metric>*>(slot.get());
    EGPTC_CHECK(same != nullptr && same->options().labels == options.labels && same->bounds() == bounds);
    return *same;
  }

  void add(std::unique_ptr<AnyFamily> family) {
    const std::lock_guard lock(mutex_);
    const bool added = families_.emplace(family->options().name, std::move(family)).second;
    EGPTC_CHECK(added);
  }

  std::string text() const {
    // Collectors run outside the lock: they may take a component's own.
    std::vector<const AnyFamily*> families;
    {
      const std::lock_guard lock(mutex_);
      for (const auto& [name, family] : families_) families.push_back(family.get());
    }
    std::string out;
    for (const AnyFamily* family : families) out += family->text();
    return out;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::unique_ptr<AnyFamily>> families_;  // guarded by mutex_
};

Registry::Registry() : impl_(std::make_unique<Impl>()) {}
Registry::~Registry() = default;

Family<Counter>& Registry::counters(const FamilyOptions& options) {
  return impl_->family<Counter>(options, "counter", [] { return std::make_unique<Counter>(); });
}

Family<Gauge>& Registry::gauges(const FamilyOptions& options) {
  return impl_->family<Gauge>(options, "gauge", [] { return std::make_unique<Gauge>(); });
}

Family<Histogram>& Registry::histograms(const FamilyOptions& options, std::vector<double> bounds) {
  return impl_->family<Histogram>(
      options, "histogram", [bounds] { return std::make_unique<Histogram>(bounds); }, bounds);
}

Counter& Registry::counter(std::string name, std::string help) {
  return counters({std::move(name), std::move(help), {}}).with({});
}

Gauge& Registry::gauge(std::string name, std::string help) {
  return gauges({std::move(name), std::move(help), {}}).with({});
}

Histogram& Registry::histogram(std::string name, std::string help, std::vector<double> bounds) {
  return histograms({std::move(name), std::move(help), {}}, std::move(bounds)).with({});
}

void Registry::collector(const FamilyOptions& options, Kind kind,
                         std::function<std::vector<Sample>()> collect) {
  impl_->add(std::make_unique<Collected>(options, kind, std::move(collect)));
}

std::string Registry::prometheus_text() const { return impl_->text(); }

std::vector<double> latency_bounds_ms() {
  return {0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000};
}

}  // namespace enhanced_gptcache::metrics
