// The curves of a sweep as a picture: recall upwards, the share of wrong hits to the right.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "eval/sweep.h"

namespace enhanced_gptcache::eval {
namespace {

constexpr double kWidth = 760;
constexpr double kHeight = 480;
constexpr double kLeft = 64;
constexpr double kTop = 44;
constexpr double kPlotWidth = 470;
constexpr double kPlotHeight = 370;
/// Okabe and Ito's colours: they stay apart for colour-blind readers.
constexpr std::array<const char*, 7> kColours{"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                              "#E69F00", "#56B4E9", "#000000"};

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else
      out += c;
  }
  return out;
}

/// The right end of the axis: a round number above the largest share of wrong hits.
double axis_end(const std::vector<Curve>& curves) {
  double largest = 0;
  for (const Curve& curve : curves)
    for (const CurvePoint& point : curve.points) largest = std::max(largest, point.wrong_share());
  for (const double end : {0.02, 0.05, 0.1, 0.2, 0.3, 0.5}) {
    if (largest <= end) return end;
  }
  return 1;
}

double x_of(double wrong, double end) { return kLeft + kPlotWidth * std::min(1.0, wrong / end); }
double y_of(double recall) { return kTop + kPlotHeight * (1 - recall); }

void add_axes(std::string& svg, double end) {
  auto to = std::back_inserter(svg);
  for (int i = 0; i <= 5; ++i) {
    const double part = i / 5.0;
    fmt::format_to(to, "<line x1=\"{0:.1f}\" y1=\"{1}\" x2=\"{0:.1f}\" y2=\"{2}\" stroke=\"#ddd\"/>\n",
                   x_of(part * end, end), kTop, kTop + kPlotHeight);
    fmt::format_to(to, "<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{:.3g} %</text>\n",
                   x_of(part * end, end), kTop + kPlotHeight + 18, 100 * part * end);
    fmt::format_to(to, "<line x1=\"{0}\" y1=\"{1:.1f}\" x2=\"{2}\" y2=\"{1:.1f}\" stroke=\"#ddd\"/>\n", kLeft,
                   y_of(part), kLeft + kPlotWidth);
    fmt::format_to(to, "<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{:.0f} %</text>\n", kLeft - 6,
                   y_of(part) + 4, 100 * part);
  }
  fmt::format_to(to, "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">wrong answers among hits</text>\n",
                 kLeft + kPlotWidth / 2, kTop + kPlotHeight + 40);
  fmt::format_to(to,
                 "<text x=\"16\" y=\"{0}\" text-anchor=\"middle\" transform=\"rotate(-90 16 {0})\">"
                 "possible hits that were served</text>\n",
                 kTop + kPlotHeight / 2);
}

void add_curve(std::string& svg, const Curve& curve, size_t place, double end) {
  const char* colour = kColours[place % kColours.size()];
  auto to = std::back_inserter(svg);
  fmt::format_to(to, "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"2\" points=\"", colour);
  for (const CurvePoint& point : curve.points)
    fmt::format_to(to, "{:.1f},{:.1f} ", x_of(point.wrong_share(), end), y_of(point.recall()));
  svg += "\"/>\n";
  for (const CurvePoint& point : curve.points) {
    fmt::format_to(to,
                   "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"><title>{} {}: recall {:.1f} %, "
                   "wrong {:.2f} %</title></circle>\n",
                   x_of(point.wrong_share(), end), y_of(point.recall()), colour,
                   escaped(setting_of(curve.knob)), point.value, 100 * point.recall(),
                   100 * point.wrong_share());
  }
  // Every fourth value is written beside its point: enough to read the curve, few enough to be read.
  for (size_t i = 0; i < curve.points.size(); i += 4) {
    fmt::format_to(to, "<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"10\" fill=\"{}\">{}</text>\n",
                   x_of(curve.points[i].wrong_share(), end) + 5, y_of(curve.points[i].recall()) - 5, colour,
                   curve.points[i].value);
  }
  const double y = kTop + 12 + 20 * static_cast<double>(place);
  fmt::format_to(to, "<rect x=\"{}\" y=\"{}\" width=\"12\" height=\"12\" fill=\"{}\"/>\n",
                 kLeft + kPlotWidth + 16, y - 10, colour);
  fmt::format_to(to, "<text x=\"{}\" y=\"{}\">{}</text>\n", kLeft + kPlotWidth + 34, y, escaped(curve.name));
}

}  // namespace

std::string to_svg(const std::vector<Curve>& curves, const std::string& title) {
  const double end = axis_end(curves);
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n<title>{2}</title>\n"
      "<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n<text x=\"{3}\" y=\"24\" "
      "font-size=\"15\">{2}</text>\n",
      kWidth, kHeight, escaped(title), kLeft);
  add_axes(svg, end);
  for (size_t i = 0; i < curves.size(); ++i) add_curve(svg, curves[i], i, end);
  return svg + "</svg>\n";
}

}  // namespace enhanced_gptcache::eval
