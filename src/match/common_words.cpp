#include "match/common_words.h"

#include <array>
#include <string>
#include <unordered_set>

#include "match/words.h"

namespace enhanced_gptcache::match {
namespace {

/// Separated by spaces. No antonyms, negations, numbers or times: the guards look at those.
constexpr auto kCommon = std::to_array<std::string_view>({
    // articles, pronouns, determiners
    "a an the this that these those some any each every all both either another other others such same own",
    "i me my mine myself we us our ours you your yours yourself he him his she her hers it its they them "
    "their",
    "theirs one ones someone somebody something anyone anybody anything everyone everybody everything",
    // prepositions, conjunctions, adverbs of little content
    "of to in on at by for from with about into onto as than like per via upon within through across between",
    "among around along against toward towards during and or but so because if then else when while where",
    "whether though although also too very really just only even still quite rather so much many lot lots "
    "bit",
    "here there now well actually basically simply exactly please thanks thank hi hello hey ok okay yes sure",
    "maybe perhaps again else etc really kindly",
    // auxiliaries and verbs of asking, telling, wanting
    "be am is are was were been being do does did doing done have has had having can could will would shall",
    "should may might must let lets need want wish like love would get gets got getting give gives gave "
    "given",
    "go goes going went come comes came take takes took make makes made making know knows knew known think",
    "say says said tell tells told talk talks talking speak ask asks asked answer answers explain explains",
    "explained explanation describe describes description define definition discuss show shows showing list",
    "name mention provide provides share help helps helping look looking see sees find finds found use uses "
    "used",
    "using mean means meaning understand understanding learn write work works working try trying happen "
    "happens",
    "happened become becomes call called consider seem seems put keep start lead leads leading led cause "
    "causes",
    // question words and what they are asked with
    "what which who whom whose how why what whats hows wheres",
    "thing things way ways kind kinds type types sort sorts example examples reason reasons fact facts idea "
    "ideas",
    "part parts point points case cases problem problems question questions information info detail details",
    "overview summary introduction basics basic concept concepts principle principles factor factors aspect "
    "aspects",
    "importance important significance significant role purpose function functions difference differences "
    "different",
    "main key general common specific simple structure feature features process step steps method methods",
    "people person someone time times place number amount",
});

std::unordered_set<std::string> build() {
  std::unordered_set<std::string> stems;
  for (std::string_view line : kCommon) {
    while (!line.empty()) {
      const size_t space = line.find(' ');
      stems.insert(stem_of(line.substr(0, space)));
      line = space == std::string_view::npos ? std::string_view() : line.substr(space + 1);
    }
  }
  return stems;
}

}  // namespace

bool is_common_word(std::string_view stem) {
  static const std::unordered_set<std::string> stems = build();
  return stems.contains(std::string(stem));
}

}  // namespace enhanced_gptcache::match
