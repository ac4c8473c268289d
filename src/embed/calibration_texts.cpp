// Written for this project. Changing them changes the packed weights: raise kQuantiserVersion then.

#include "embed/quantiser.h"

namespace enhanced_gptcache::embed {
namespace {

constexpr std::string_view kTexts[] = {
    "How do I reset the password of my account?",
    "What is the capital of Mongolia, and how many people live there?",
    "Explain the difference between a process and a thread in two sentences.",
    "my parcel has not arrived yet",
    "Translate 'good morning, neighbour' into Portuguese.",
    "Write a Python function that merges two sorted lists without using sorted().",
    "The old lighthouse stood alone on the cliff while the storm rolled in from the west.",
    "Is it safe to take ibuprofen together with paracetamol?",
    "SELECT name, SUM(amount) FROM orders WHERE year = 2021 GROUP BY name;",
    "Two children are feeding ducks at the edge of a pond.",
    "A woman slices an onion on a wooden board.",
    "The central bank raised its key rate by 0.25 percentage points on Thursday.",
    "why does my bread not rise",
    "Please summarise the following report in three bullet points.",
    "When was the first transatlantic telegraph cable laid?",
    "cancel my subscription and refund the last payment",
    "What are the side effects of a long flight on the body?",
    "Shares of the carmaker fell 3.4% after it recalled 120,000 vehicles.",
    "hello",
    "Which vegetables can be grown on a balcony that faces north?",
    "How far is it from Lisbon to Porto by train, and what does a ticket cost?",
    "The committee did not approve the proposal because several members were absent.",
    "Give me a recipe for lentil soup without garlic.",
    "std::unique_ptr<Widget> widget = std::make_unique<Widget>(42);",
    "What does HTTP status 429 mean, and how should a client react to it?",
    "A brown dog jumps over a fallen tree in the forest.",
    "Der Zug nach Bremen hat heute leider etwa zwanzig Minuten Verspätung.",
    "The minister said that talks would resume early next week if both sides agreed.",
    "Can you compare renting a flat with buying one over a period of fifteen years?",
    "turn off the lights in the kitchen",
    "In chemistry, a catalyst speeds up a reaction without being consumed by it.",
    "He plays the guitar, but his sister prefers the drums.",
    "Error: connection refused while connecting to database on port 5432",
    "What is the integral of x squared from zero to three?",
    "Recommend a quiet novel about the sea, nothing longer than 300 pages.",
    "how old do you have to be to rent a car in canada",
    "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen.",
    "The team scored twice in the final minutes and won the cup for the fourth time.",
    "I would like to change the delivery address of order 77812.",
    "Who painted the ceiling, who paid for it, and how long did the work take?",
};

}  // namespace

std::span<const std::string_view> calibration_texts() { return kTexts; }

}  // namespace enhanced_gptcache::embed
