#include "enhanced_gptcache/pca_wrapper.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <Eigen/Dense>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "match/pca_file.h"
#include "match/pca_trainer.h"
#include "match/state_bytes.h"

namespace enhanced_gptcache {
namespace {

PcaOptions options_of(size_t target) {
  PcaOptions options;
  options.target_dimensions = target;
  return options;
}

/// Samples that vary along few directions, plus a little noise.
Matrix samples_of(size_t rows, size_t columns, unsigned seed, size_t directions = 4) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::mt19937 fixed(99);
  std::vector<float> axes(directions * columns);
  for (float& v : axes) v = normal(fixed);
  Matrix samples{rows, columns, std::vector<float>(rows * columns)};
  for (size_t r = 0; r < rows; ++r) {
    for (size_t d = 0; d < directions; ++d) {
      const float along = normal(random) * static_cast<float>(directions - d);
      for (size_t c = 0; c < columns; ++c) samples.values[r * columns + c] += along * axes[d * columns + c];
    }
    for (size_t c = 0; c < columns; ++c) samples.values[r * columns + c] += 0.05F * normal(random) + 3;
  }
  return samples;
}

std::span<const float> row_of(const Matrix& matrix, size_t row) {
  return std::span(matrix.values).subspan(row * matrix.columns, matrix.columns);
}

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "egptc_pca_XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string file(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

void write_bytes(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

TEST(PCAWrapper, TenRandomSamplesKeepTheirShape) {
  PCAWrapper pca;
  const auto out = pca.fit_transform(samples_of(10, 128, 1, 20));
  ASSERT_TRUE(out);
  EXPECT_EQ(out->rows, 10U);
  EXPECT_EQ(out->columns, 128U);
  EXPECT_EQ(pca.effective_dimensions(), 9U);
  for (size_t r = 0; r < 10; ++r) {
    for (size_t c = 9; c < 128; ++c) ASSERT_EQ(out->values[r * 128 + c], 0.0F);
  }
  EXPECT_NEAR(pca.explained_variance(), 1.0, 1e-9);
}

TEST(PCAWrapper, FewColumnsBoundTheTarget) {
  PCAWrapper pca;
  const auto out = pca.fit_transform(samples_of(50, 6, 2));
  ASSERT_TRUE(out);
  EXPECT_EQ(out->columns, 6U);
  EXPECT_EQ(pca.target_dimensions(), 6U);
}

TEST(PCAWrapper, FindsTheDirectionsAndKeepsDistances) {
  PCAWrapper pca(options_of(4));
  const Matrix samples = samples_of(400, 60, 3, 4);
  const auto out = pca.fit_transform(samples);
  ASSERT_TRUE(out);
  EXPECT_GT(pca.explained_variance(), 0.999);
  const auto distance = [](std::span<const float> a, std::span<const float> b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += std::pow(static_cast<double>(a[i]) - b[i], 2);
    return std::sqrt(sum);
  };
  for (size_t i = 1; i < 50; ++i) {
    const double before = distance(row_of(samples, 0), row_of(samples, i));
    EXPECT_NEAR(distance(row_of(*out, 0), row_of(*out, i)), before, 0.02 * before + 1);
  }
}

TEST(PCAWrapper, AgreesWithADirectDecomposition) {
  const Matrix samples = samples_of(300, 20, 4, 10);
  PCAWrapper pca(options_of(5));
  ASSERT_TRUE(pca.fit_transform(samples));
  const Eigen::MatrixXd x = Eigen::Map<const match::RowMatrix>(samples.values.data(), 300, 20).cast<double>();
  const Eigen::MatrixXd centred = x.rowwise() - x.colwise().mean();
  const Eigen::JacobiSVD<Eigen::MatrixXd> svd(centred, Eigen::ComputeThinV);
  const auto projected = pca.transform(row_of(samples, 7));
  ASSERT_TRUE(projected);
  for (Eigen::Index c = 0; c < 5; ++c) {
    const double expected = centred.row(7) * svd.matrixV().col(c);
    EXPECT_NEAR(std::fabs((*projected)[static_cast<size_t>(c)]), std::fabs(expected), 1e-3);
  }
}

TEST(PCAWrapper, OneByOneEqualsAllAtOnce) {
  const Matrix samples = samples_of(200, 32, 5, 8);
  PCAWrapper one(options_of(8));
  PCAWrapper all(options_of(8));
  for (size_t r = 0; r < samples.rows; ++r) ASSERT_TRUE(one.add(row_of(samples, r)));
  ASSERT_TRUE(one.fit());
  ASSERT_TRUE(all.fit_transform(samples));
  const auto a = one.transform(row_of(samples, 3));
  const auto b = all.transform(row_of(samples, 3));
  ASSERT_TRUE(a && b);
  // The signs agree too: the convention makes fits reproducible.
  for (size_t i = 0; i < 8; ++i) EXPECT_NEAR((*a)[i], (*b)[i], 1e-3);
  EXPECT_EQ(one.samples(), 200U);
}

TEST(PCAWrapper, EqualSamplesHaveNoDirection) {
  PCAWrapper pca(options_of(3));
  const std::vector<float> same(10, 0.25F);
  ASSERT_TRUE(pca.add(same));
  ASSERT_TRUE(pca.add(same));
  ASSERT_TRUE(pca.fit());
  EXPECT_EQ(pca.effective_dimensions(), 0U);
  EXPECT_EQ(pca.explained_variance(), 0);
  EXPECT_EQ(pca.transform(same)->at(0), 0.0F);
}

TEST(PCAWrapper, BadInputIsNamed) {
  PCAWrapper pca(options_of(3));
  EXPECT_EQ(pca.fit().error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(pca.transform(std::vector<float>(4)).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(pca.add({}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(pca.add(std::vector<float>(5000, 1)).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(pca.add(std::vector<float>{1, NAN}).error().code, ErrorCode::kInvalidArgument);
  ASSERT_TRUE(pca.add(std::vector<float>(4, 1)));
  EXPECT_EQ(pca.add(std::vector<float>(5, 1)).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(pca.fit().error().code, ErrorCode::kUnavailable);
  ASSERT_TRUE(pca.add(std::vector<float>(4, 2)));
  ASSERT_TRUE(pca.fit());
  EXPECT_EQ(pca.transform(std::vector<float>(5)).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(pca.fit_transform({2, 4, {1, 2, 3}}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(pca.fit_transform({1, 4, {1, 2, 3, INFINITY}}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(PCAWrapper().fit_transform({0, 4, {}}).error().code, ErrorCode::kUnavailable);
}

TEST(PCAWrapper, AFileRestoresModelAndMoments) {
  const TemporaryFolder folder;
  const Matrix samples = samples_of(120, 24, 6, 8);
  PCAWrapper pca(options_of(6));
  EXPECT_EQ(pca.save(folder.file("none")).error().code, ErrorCode::kUnavailable);
  ASSERT_TRUE(pca.fit_transform(samples));
  pca.set_origin("tenant a");
  ASSERT_TRUE(pca.save(folder.file("model")));
  PCAWrapper other(options_of(6));
  ASSERT_TRUE(other.load(folder.file("model")));
  EXPECT_EQ(other.origin(), "tenant a");
  EXPECT_EQ(other.version(), pca.version());
  EXPECT_EQ(other.samples(), 120U);
  EXPECT_EQ(*other.transform(row_of(samples, 1)), *pca.transform(row_of(samples, 1)));
  // Later samples go on from the saved moments.
  ASSERT_TRUE(pca.fit_transform(samples_of(50, 24, 7, 8)));
  ASSERT_TRUE(other.fit_transform(samples_of(50, 24, 7, 8)));
  EXPECT_EQ(*other.transform(row_of(samples, 1)), *pca.transform(row_of(samples, 1)));
  EXPECT_EQ(PCAWrapper(options_of(7)).load(folder.file("model")).error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(other.load(folder.file("missing")).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(pca.save(folder.file("no/such/folder")).error().code, ErrorCode::kIo);
  EXPECT_FALSE(std::filesystem::exists(folder.file("model.new")));
}

TEST(PCAWrapper, AFileOfVersionOneHasNoOrigin) {
  // One dimension kept of two, from two samples: written as the first version did.
  match::StateWriter writer("EGPTCPCA", 1);
  writer.put(uint32_t{2});
  writer.put(uint32_t{1});
  writer.put(uint8_t{0});
  writer.put(uint64_t{2});
  for (const double value : {0.5, 0.25, 2.0, 1.0, 3.0}) writer.put(value);  // mean, lower triangle
  const TemporaryFolder folder;
  write_bytes(folder.file("old"), std::move(writer).finish());
  PCAWrapper pca(options_of(1));
  pca.set_origin("tenant a");
  ASSERT_TRUE(pca.load(folder.file("old")));
  EXPECT_EQ(pca.origin(), "");
  EXPECT_EQ(pca.samples(), 2U);
  match::StateWriter newer("EGPTCPCA", 3);
  write_bytes(folder.file("new"), std::move(newer).finish());
  EXPECT_EQ(pca.load(folder.file("new")).error().code, ErrorCode::kUnsupported);
}

TEST(PCAWrapper, CutOrAlteredFilesAreCorruptAndChangeNothing) {
  const TemporaryFolder folder;
  PCAWrapper source(options_of(2));
  ASSERT_TRUE(source.fit_transform(samples_of(10, 5, 8)));
  ASSERT_TRUE(source.save(folder.file("good")));
  const auto bytes = match::read_file(folder.file("good"), 1 << 20);
  ASSERT_TRUE(bytes);
  PCAWrapper pca(options_of(2));
  const Matrix mine = samples_of(20, 5, 9);
  ASSERT_TRUE(pca.fit_transform(mine));
  const auto before = *pca.transform(row_of(mine, 0));
  for (size_t size = 0; size < bytes->size(); ++size) {
    write_bytes(folder.file("cut"), std::string_view(*bytes).substr(0, size));
    const auto loaded = pca.load(folder.file("cut"));
    ASSERT_FALSE(loaded);
    ASSERT_EQ(loaded.error().code, ErrorCode::kCorrupt) << size;
  }
  for (size_t at = 0; at < bytes->size(); ++at) {
    std::string altered = *bytes;
    altered[at] = static_cast<char>(altered[at] ^ 1);
    ASSERT_FALSE(match::decode_pca(altered)) << at;
  }
  EXPECT_EQ(*pca.transform(row_of(mine, 0)), before);
  EXPECT_EQ(pca.samples(), 20U);
  EXPECT_EQ(match::read_file(folder.file("good"), 10).error().code, ErrorCode::kCorrupt);
}

TEST(PCAWrapper, TransformsRunBesideSamplesAndFits) {
  PCAWrapper pca(options_of(4));
  const Matrix samples = samples_of(64, 16, 10);
  ASSERT_TRUE(pca.fit_transform(samples));
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> readers;
  for (int r = 0; r < 2; ++r) {
    readers.emplace_back([&] {
      do {
        const auto out = pca.transform(row_of(samples, 0));
        if (!out || out->size() != 4 || !pca.fitted() || pca.effective_dimensions() != 4) wrong.fetch_add(1);
      } while (!stop.load(std::memory_order_relaxed));
    });
  }
  for (size_t i = 0; i < 300; ++i) {
    ASSERT_TRUE(pca.add(row_of(samples, i % 64)));
    if (i % 10 == 0) {
      ASSERT_TRUE(pca.fit());
    }
  }
  stop.store(true);
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_EQ(pca.version(), 31U);
}

TEST(PcaTrainer, FitsAtTheFirstMilestoneAndWhenSamplesDouble) {
  PcaOptions options = options_of(4);
  options.training_samples = 50;
  PCAWrapper pca(options);
  match::PcaTrainer trainer(options, pca);
  const Matrix samples = samples_of(500, 16, 11);
  std::vector<size_t> fitted_at;
  for (size_t i = 0; i < 450; ++i) {
    trainer.observe(row_of(samples, i));
    if (!trainer.is_due()) continue;
    const auto ran = trainer.run();
    ASSERT_TRUE(ran);
    if (*ran) fitted_at.push_back(pca.samples());
  }
  EXPECT_EQ(fitted_at, (std::vector<size_t>{50, 100, 200, 400}));
  EXPECT_FALSE(trainer.is_frozen());
}

TEST(PcaTrainer, WaitingVectorsAreBoundedAndOddOnesLeftOut) {
  PcaOptions options = options_of(4);
  options.training_samples = 10;
  PCAWrapper pca(options);
  match::PcaTrainer trainer(options, pca);
  const Matrix samples = samples_of(1000, 16, 12);
  for (size_t i = 0; i < 1000; ++i) trainer.observe(row_of(samples, i));
  trainer.observe(std::vector<float>(3));
  ASSERT_TRUE(trainer.run());
  EXPECT_EQ(pca.samples(), match::kPcaWaitingMax);
  trainer.observe(std::vector<float>(3));
  EXPECT_EQ(*trainer.run(), false);
  EXPECT_EQ(pca.samples(), match::kPcaWaitingMax);
}

TEST(PcaTrainer, FreezesAtTheCapAndCostsNothingThen) {
  PcaOptions options = options_of(2);
  PCAWrapper pca(options);
  match::PcaTrainer trainer(options, pca);
  const Matrix samples = samples_of(256, 4, 13);
  for (int i = 0; !trainer.is_frozen() && i < 1000; ++i) {
    for (size_t r = 0; r < samples.rows; ++r) trainer.observe(row_of(samples, r));
    ASSERT_TRUE(trainer.run());
  }
  EXPECT_TRUE(trainer.is_frozen());
  EXPECT_EQ(pca.samples(), match::kPcaSamplesMax);
  const uint64_t version = pca.version();
  trainer.observe(row_of(samples, 0));
  EXPECT_FALSE(trainer.is_due());
  EXPECT_EQ(*trainer.run(), false);
  EXPECT_EQ(pca.version(), version);
}

TEST(PcaTrainer, SavesEachModelAndGoesOnAfterARestart) {
  const TemporaryFolder folder;
  PcaOptions options = options_of(4);
  options.training_samples = 20;
  options.model_path = folder.file("pca.model");
  const Matrix samples = samples_of(100, 8, 14);
  {
    PCAWrapper pca(options);
    match::PcaTrainer trainer(options, pca);
    for (size_t i = 0; i < 20; ++i) trainer.observe(row_of(samples, i));
    EXPECT_EQ(*trainer.run(), true);
  }
  PCAWrapper pca(options);
  ASSERT_TRUE(pca.load(options.model_path));
  match::PcaTrainer trainer(options, pca);
  for (size_t i = 20; i < 39; ++i) trainer.observe(row_of(samples, i));
  EXPECT_EQ(*trainer.run(), false);
  trainer.observe(row_of(samples, 39));
  EXPECT_TRUE(trainer.is_due());
  EXPECT_EQ(*trainer.run(), true);
  EXPECT_EQ(pca.samples(), 40U);
}

TEST(PcaTrainer, AnUnwritablePathIsReportedAndTheModelUsed) {
  PcaOptions options = options_of(2);
  options.training_samples = 5;
  options.model_path = "/nonexistent/folder/pca.model";
  PCAWrapper pca(options);
  match::PcaTrainer trainer(options, pca);
  const Matrix samples = samples_of(5, 4, 15);
  for (size_t i = 0; i < 5; ++i) trainer.observe(row_of(samples, i));
  EXPECT_EQ(trainer.run().error().code, ErrorCode::kIo);
  EXPECT_TRUE(pca.fitted());
}

TEST(PcaTrainer, OffDoesNothing) {
  PcaOptions options;
  options.enabled = false;
  PCAWrapper pca(options);
  match::PcaTrainer trainer(options, pca);
  trainer.observe(std::vector<float>(8, 1));
  EXPECT_TRUE(trainer.is_frozen());
  EXPECT_EQ(*trainer.run(), false);
  EXPECT_EQ(pca.samples(), 0U);
}

}  // namespace
}  // namespace enhanced_gptcache
