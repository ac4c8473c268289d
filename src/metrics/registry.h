#pragma once
// Counters, gauges and histograms with labels, cheap enough for the request path, and their
// Prometheus text (exposition format 0.0.4). A request pays a hash of the labels and one relaxed atomic
// add on a cell its thread shares with few others; bench/metrics_cost.py says what that comes to.
//
// Cardinality is bounded: a family holds at most `series_max` label sets; further ones are counted
// under the label value "other" in every label.

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace enhanced_gptcache::metrics {

inline constexpr size_t kCells = 16;  ///< threads beyond it share cells
/// This thread's cell, 0..kCells-1.
size_t cell_of_thread();

/// A number that only grows. Thread rule: any thread.
class Counter {
 public:
  void add(uint64_t amount = 1) {
    cells_[cell_of_thread()].value.fetch_add(amount, std::memory_order_relaxed);
  }
  uint64_t value() const;

 private:
  struct alignas(64) Cell {
    std::atomic<uint64_t> value{0};
  };
  std::array<Cell, kCells> cells_;
};

/// A number that goes up and down. Thread rule: any thread.
class Gauge {
 public:
  void set(double value) { value_.store(value, std::memory_order_relaxed); }
  void add(double amount);
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

/// Counts per bucket and a sum. Thread rule: any thread. NaN is not recorded.
class Histogram {
 public:
  /// `bounds`: upper bounds, ascending; +Inf is added.
  explicit Histogram(std::vector<double> bounds);
  ~Histogram();
  void record(double value);

  struct View {
    std::vector<uint64_t> buckets;  ///< cumulative, one per bound and one for +Inf
    double sum = 0;
    uint64_t count = 0;
  };
  View view() const;
  const std::vector<double>& bounds() const { return bounds_; }

 private:
  struct Cell;
  std::vector<double> bounds_;
  std::unique_ptr<Cell[]> cells_;
};

using Labels = std::initializer_list<std::string_view>;  ///< values, in the order of the family's names

/// All series of one name. Thread rule: any thread. with() finds a series it has made before without lock or
/// allocation and locks for a moment for a new one; what it returns is valid as long as the registry.
template <typename Metric>
class Family {
 public:
  virtual ~Family() = default;
  virtual Metric& with(Labels values) = 0;
};

struct FamilyOptions {
  std::string name;  ///< [a-zA-Z_:][a-zA-Z0-9_:]*, counters end in _total
  std::string help;
  std::vector<std::string> labels = {};  ///< names
  size_t series_max = 200;               ///< further label sets become "other"
};

/// One sample a collector reports at scrape time.
struct Sample {
  std::vector<std::string> labels;  ///< values, in the order of the names
  double value = 0;
};
enum class Kind { kCounter, kGauge };

/// Owns every metric of one server. Thread rule: any thread; make families at start.
class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  /// The family of that name, made at the first call. Another type, other labels or other bounds under
  /// a name already taken are a broken invariant of the caller (EGPTC_CHECK).
  Family<Counter>& counters(const FamilyOptions& options);
  Family<Gauge>& gauges(const FamilyOptions& options);
  Family<Histogram>& histograms(const FamilyOptions& options, std::vector<double> bounds);

  // Without labels.
  Counter& counter(std::string name, std::string help);
  Gauge& gauge(std::string name, std::string help);
  Histogram& histogram(std::string name, std::string help, std::vector<double> bounds);

  /// Values that exist elsewhere (stats() of a component): `collect` is called at every render, on its
  /// thread, and must be quick. Samples over series_max are added up under "other".
  void collector(const FamilyOptions& options, Kind kind, std::function<std::vector<Sample>()> collect);

  /// Prometheus text 0.0.4: families by name, series by label values, each with HELP and TYPE.
  std::string prometheus_text() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// The content type that goes with prometheus_text().
inline constexpr std::string_view kPrometheusContentType = "text/plain; version=0.0.4; charset=utf-8";

/// 0.05 to 10,000 ms: the bounds of response_time and the stage histograms.
std::vector<double> latency_bounds_ms();

}  // namespace enhanced_gptcache::metrics
