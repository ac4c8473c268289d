// Units: 5 kg are not 5 lbs, two months not two years.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "match/guards.h"

namespace enhanced_gptcache::match {
namespace {

/// All spellings of one unit; units of one dimension exclude each other.
struct Unit {
  std::string_view dimension;
  std::string_view name;
  std::string_view spellings;
};
constexpr auto kUnits = std::to_array<Unit>({
    {"time", "second", "seconds sec secs"},
    {"time", "minute", "minute minutes min mins"},
    {"time", "hour", "hour hours hr hrs"},
    {"time", "day", "days"},
    {"time", "week", "week weeks"},
    {"time", "month", "month months"},
    {"time", "year", "year years yr yrs"},
    {"mass", "kg", "kg kgs kilogram kilograms kilo kilos"},
    {"mass", "g", "gram grams"},
    {"mass", "lb", "lb lbs pound pounds"},
    {"mass", "oz", "oz ounce ounces"},
    {"mass", "ton", "ton tons tonne tonnes"},
    {"length", "km", "km kms kilometer kilometers kilometre kilometres"},
    {"length", "m", "meter meters metre metres"},
    {"length", "cm", "cm cms centimeter centimeters centimetre centimetres"},
    {"length", "mm", "mm millimeter millimeters"},
    {"length", "mile", "mile miles"},
    {"length", "foot", "foot feet ft"},
    {"length", "inch", "inch inches"},
    {"length", "yard", "yard yards"},
    {"temperature", "celsius", "celsius centigrade"},
    {"temperature", "fahrenheit", "fahrenheit"},
    {"temperature", "kelvin", "kelvin"},
    {"volume", "litre", "liter liters litre litres"},
    {"volume", "gallon", "gallon gallons"},
    {"volume", "ml", "ml milliliter milliliters"},
    {"data", "kb", "kb kilobyte kilobytes"},
    {"data", "mb", "mb megabyte megabytes"},
    {"data", "gb", "gb gigabyte gigabytes gig gigs"},
    {"data", "tb", "tb terabyte terabytes"},
    {"money", "dollar", "dollar dollars usd bucks"},
    {"money", "euro", "euro euros eur"},
    {"money", "rupee", "rupee rupees rs inr"},
    {"money", "yen", "yen jpy"},
    {"money", "yuan", "yuan rmb cny"},
    {"money", "sterling", "gbp quid"},
    {"energy", "calorie", "calorie calories kcal"},
    {"energy", "joule", "joule joules"},
    {"speed", "mph", "mph"},
    {"speed", "kmh", "kmh kph"},
});

bool has_spelling(const Unit& unit, std::string_view word) {
  std::string_view rest = unit.spellings;
  while (!rest.empty()) {
    const size_t space = rest.find(' ');
    if (rest.substr(0, space) == word) return true;
    rest = space == std::string_view::npos ? std::string_view() : rest.substr(space + 1);
  }
  return false;
}

/// "5kg", "3mins": the letters behind the digits.
std::string_view letters_after_digits(std::string_view word) {
  const size_t last = word.find_last_of("0123456789");
  return last == std::string_view::npos ? word : word.substr(last + 1);
}

const Unit* unit_of(const Word& word) {
  const std::string_view letters = word.numeric ? letters_after_digits(word.text) : word.text;
  if (letters.empty() || letters.size() > 12) return nullptr;
  for (const Unit& unit : kUnits) {
    if (has_spelling(unit, letters)) return &unit;
  }
  return nullptr;
}

struct UnitCount {
  const Unit* unit;
  size_t count;
};

std::vector<UnitCount> units_in(const Words& words) {
  std::vector<UnitCount> units;
  for (const Word& word : words.words()) {
    const Unit* unit = unit_of(word);
    if (unit == nullptr) continue;
    const auto known = std::find_if(units.begin(), units.end(),
                                    [&](const UnitCount& counted) { return counted.unit == unit; });
    if (known == units.end())
      units.push_back({unit, 1});
    else
      ++known->count;
  }
  return units;
}

size_t count_of(const std::vector<UnitCount>& units, const Unit* unit) {
  for (const UnitCount& known : units) {
    if (known.unit == unit) return known.count;
  }
  return 0;
}

}  // namespace

void append_unit_anchors(const Words& words, std::vector<std::string>& anchors) {
  for (const UnitCount& counted : units_in(words))
    anchors.push_back(fmt::format("unit:{}", counted.unit->name));
}

std::string units_refusal(const Words& query, const Words& candidate) {
  const auto a = units_in(query);
  if (a.empty()) return {};
  const auto b = units_in(candidate);
  for (const UnitCount& mine : a) {
    if (count_of(b, mine.unit) >= mine.count) continue;
    for (const UnitCount& other : b) {
      if (other.unit->dimension == mine.unit->dimension && count_of(a, other.unit) < other.count)
        return fmt::format("{} against {}", mine.unit->name, other.unit->name);
    }
  }
  return {};
}

}  // namespace enhanced_gptcache::match
