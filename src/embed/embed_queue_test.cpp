#include "embed/embed_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>

namespace enhanced_gptcache::embed {
namespace {

using Texts = std::span<const std::string_view>;

std::vector<Embedding> lengths_of(Texts texts) {
  std::vector<Embedding> embeddings;
  for (const std::string_view text : texts) embeddings.push_back({{static_cast<float>(text.size())}, {}});
  return embeddings;
}

// A worker that stops in its first batch until the test lets it go.
struct Gate {
  std::promise<void> entered, open;
  std::shared_future<void> opened{open.get_future()};
  std::atomic<bool> first{true};
  void pass() {
    if (!first.exchange(false)) return;
    entered.set_value();
    opened.wait();
  }
};

TEST(EmbedQueue, GivesEachTextItsOwnResult) {
  std::atomic<int> right{0};
  {
    EmbedQueue queue(2, 1000, [](Texts texts) { return lengths_of(texts); });
    std::promise<void> all;
    for (size_t i = 0; i < 500; ++i) {
      queue.push(std::string(i, 'x'), [&, i](Result<Embedding> result) {
        EXPECT_EQ(result->values.at(0), static_cast<float>(i));
        if (++right == 500) all.set_value();
      });
    }
    all.get_future().wait();
  }
  EXPECT_EQ(right, 500);
}

TEST(EmbedQueue, BatchesOnlyWhatAlreadyWaits) {
  Gate gate;
  std::vector<size_t> batches;
  std::promise<void> all;
  int done = 0;
  EmbedQueue queue(1, 100, [&](Texts texts) {
    batches.push_back(texts.size());
    gate.pass();
    return lengths_of(texts);
  });
  const auto count = [&](const auto&) {
    if (++done == 8) all.set_value();
  };
  queue.push("first", count);
  gate.entered.get_future().wait();
  for (int i = 0; i < 7; ++i) queue.push("later", count);
  gate.open.set_value();
  all.get_future().wait();
  EXPECT_EQ(batches, (std::vector<size_t>{1, kQueueBatchTexts, 3}));
}

TEST(EmbedQueue, RefusesAtOnceWhenFull) {
  Gate gate;
  std::atomic<int> served{0}, refused{0};
  {
    EmbedQueue queue(1, 3, [&](Texts texts) {
      gate.pass();
      return lengths_of(texts);
    });
    const auto count = [&](const Result<Embedding>& result) {
      if (result) {
        ++served;
      } else if (result.error().code == ErrorCode::kOverloaded) {
        EXPECT_THAT(result.error().message, ::testing::HasSubstr("3 texts"));
        ++refused;
      }
    };
    queue.push("running", count);
    gate.entered.get_future().wait();
    for (int i = 0; i < 5; ++i) queue.push("x", count);
    EXPECT_EQ(refused, 2);
    gate.open.set_value();
    while (served < 4) std::this_thread::yield();
  }
  EXPECT_EQ(refused, 2);
}

TEST(EmbedQueue, TextsThatWaitedTooLongAreNotEmbedded) {
  Gate gate;
  std::atomic<int> embedded{0}, served{0}, late{0};
  EmbedQueue queue(1, 100, [&](Texts texts) {
    embedded += static_cast<int>(texts.size());
    gate.pass();
    return lengths_of(texts);
  });
  const auto count = [&](const Result<Embedding>& result) {
    if (result) {
      ++served;
    } else {
      EXPECT_EQ(result.error().code, ErrorCode::kOverloaded);
      ++late;
    }
  };
  queue.push("running", count);
  gate.entered.get_future().wait();
  for (size_t i = 0; i < 3 * kQueueBatchTexts; ++i) queue.push("impatient", count, 1);
  queue.push("patient", count, 3'600'000);
  queue.push("in no hurry", count);
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  gate.open.set_value();
  while (served + late < static_cast<int>(3 * kQueueBatchTexts + 3)) std::this_thread::yield();
  EXPECT_EQ(late, static_cast<int>(3 * kQueueBatchTexts));
  EXPECT_EQ(embedded, 3) << "what came behind the late ones was not held up by them";
}

TEST(EmbedQueue, ShutdownEndsTheRunningBatchAndCancelsTheRest) {
  Gate gate;
  std::atomic<int> served{0}, cancelled{0};
  const auto count = [&](const Result<Embedding>& result) {
    if (result) {
      ++served;
    } else if (result.error().code == ErrorCode::kUnavailable) {
      ++cancelled;
    }
  };
  auto queue = std::make_unique<EmbedQueue>(1, 100, [&](Texts texts) {
    gate.pass();
    return lengths_of(texts);
  });
  queue->push("running", count);
  gate.entered.get_future().wait();
  for (int i = 0; i < 11; ++i) queue->push("waiting", count);
  // The destructor waits for the worker, which waits for the gate. Whether a waiting batch is served or
  // cancelled depends on which of the two is first, but each callback is called exactly once.
  std::thread opener([&] { gate.open.set_value(); });
  queue.reset();
  opener.join();
  EXPECT_EQ(served + cancelled, 12);
  EXPECT_GE(served, 1);
}

TEST(EmbedQueue, AfterStopNothingWaitsAndNothingIsTaken) {
  Gate gate;
  std::atomic<int> called{0}, refused{0};
  const auto count = [&](const Result<Embedding>& result) {
    ++called;
    if (!result && result.error().code == ErrorCode::kUnavailable) ++refused;
  };
  EmbedQueue queue(1, 100, [&](Texts texts) {
    gate.pass();
    return lengths_of(texts);
  });
  queue.push("running", count);
  gate.entered.get_future().wait();
  for (int i = 0; i < 50; ++i) queue.push("waiting", count);
  std::thread opener([&] { gate.open.set_value(); });
  queue.stop();
  EXPECT_EQ(called, 51) << "every callback has run when stop() returns";
  opener.join();
  const int before = refused;
  queue.push("too late", count);
  EXPECT_EQ(called, 52);
  EXPECT_EQ(refused, before + 1);
  queue.stop();
}

TEST(EmbedQueue, AnExceptionOfTheModelOrOfACallbackEndsNeitherWorkerNorProcess) {
  std::atomic<bool> throws{true};
  EmbedQueue queue(1, 10, [&](Texts texts) -> Result<std::vector<Embedding>> {
    if (throws) throw std::bad_alloc();
    return lengths_of(texts);
  });
  std::promise<ErrorCode> first;
  queue.push("x", [&](const Result<Embedding>& result) { first.set_value(result.error().code); });
  EXPECT_EQ(first.get_future().get(), ErrorCode::kInternal);
  throws = false;
  queue.push("y", [](const Result<Embedding>&) { throw std::runtime_error("callback"); });
  std::promise<bool> last;
  queue.push("z", [&](const Result<Embedding>& result) { last.set_value(result.has_value()); });
  EXPECT_TRUE(last.get_future().get()) << "the worker lives on";
}

TEST(EmbedQueue, AFailedBatchFailsEachOfItsTexts) {
  std::promise<Error> error;
  EmbedQueue queue(1, 10, [](Texts) -> Result<std::vector<Embedding>> {
    return fail(ErrorCode::kInternal, "no numbers");
  });
  queue.push("x", [&](const Result<Embedding>& result) { error.set_value(result.error()); });
  EXPECT_EQ(error.get_future().get().message, "no numbers");
}

}  // namespace
}  // namespace enhanced_gptcache::embed
