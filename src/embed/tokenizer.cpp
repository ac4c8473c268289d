#include "embed/tokenizer.h"

#include "embed/tokenizer_files.h"
#include "embed/wordpiece.h"

namespace enhanced_gptcache::embed {

Result<Tokenizer> Tokenizer::load(const std::string& model_dir) {
  EGPTC_TRY(WordPieceSpec spec, read_tokenizer_files(model_dir));
  return Tokenizer(std::make_unique<const WordPieceModel>(std::move(spec)));
}

Tokenizer::Tokenizer(std::unique_ptr<const WordPieceModel> model) : model_(std::move(model)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

void Tokenizer::encode(std::string_view text, std::vector<int32_t>& ids) const { model_->encode(text, ids); }

int32_t Tokenizer::cls_id() const { return model_->cls_id(); }
int32_t Tokenizer::sep_id() const { return model_->sep_id(); }
int32_t Tokenizer::pad_id() const { return model_->pad_id(); }
int32_t Tokenizer::unk_id() const { return model_->unk_id(); }
size_t Tokenizer::id_limit() const { return model_->id_limit(); }

}  // namespace enhanced_gptcache::embed
