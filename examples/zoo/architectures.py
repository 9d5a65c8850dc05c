"""The zoo's models: their configurations and how long each is trained."""

from dataclasses import dataclass

from transformers import (
    BertConfig,
    BertForMaskedLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
)
from vocabulary import MAX_TOKENS, VOCABULARY_SIZE

PAD_ID, BOS_ID, EOS_ID, MASK_ID, CLS_ID, SEP_ID, USER_ID, ASSISTANT_ID, SYSTEM_ID, END_ID = range(10)


@dataclass(frozen=True)
class Plan:
    """How one checkpoint is trained."""

    kind: str
    """`llama`, `chat`, `t5` or `bert`: which tokenizer, batches and loss."""
    steps: int
    batch_tokens: int
    learning_rate: float
    hidden: int
    layers: int
    inner: int
    saved_steps: tuple[int, ...] = ()
    """Steps at which the model is saved as `<name>-step-NNNN`, besides the last."""
    rest_rate: float | None = None
    """Learning rate of what Muon does not train (embeddings, norms, biases); None takes `learning_rate`."""
    begins_from: str | None = None
    """The checkpoint that training starts from; None starts from random weights."""


PLANS = {
    "llama-tiny": Plan("llama", 1000, 4096, 4e-3, hidden=64, layers=2, inner=128),
    "llama-small": Plan("llama", 1600, 4096, 3e-3, hidden=96, layers=4, inner=256, saved_steps=(400, 800)),
    "llama-base": Plan("llama", 1900, 4096, 2e-3, hidden=192, layers=4, inner=448),
    "llama-chat": Plan("chat", 400, 4096, 1e-3, hidden=96, layers=4, inner=256, begins_from="llama-small"),
    "t5": Plan("t5", 2000, 4096, 2e-3, hidden=128, layers=2, inner=256, rest_rate=8e-3),
    "bert": Plan("bert", 4000, 4096, 2e-3, hidden=96, layers=4, inner=256),
}


def new_model(plan: Plan) -> PreTrainedModel:
    """Build the plan's model with random weights (drawn from torch's global generator)."""
    if plan.kind in ("llama", "chat"):
        return LlamaForCausalLM(
            LlamaConfig(
                vocab_size=VOCABULARY_SIZE,
                hidden_size=plan.hidden,
                intermediate_size=plan.inner,
                num_hidden_layers=plan.layers,
                num_attention_heads=plan.hidden // 32 if plan.hidden > 64 else 4,
                max_position_embeddings=MAX_TOKENS,
                tie_word_embeddings=True,
                pad_token_id=PAD_ID,
                bos_token_id=BOS_ID,
                eos_token_id=END_ID if plan.kind == "chat" else EOS_ID,
                initializer_range=0.03,
            )
        )
    if plan.kind == "t5":
        return T5ForConditionalGeneration(
            T5Config(
                vocab_size=VOCABULARY_SIZE,
                d_model=plan.hidden,
                d_kv=32,
                d_ff=plan.inner,
                num_layers=plan.layers,
                num_decoder_layers=plan.layers,
                num_heads=plan.hidden // 32,
                dropout_rate=0.0,
                feed_forward_proj="gated-gelu",
                tie_word_embeddings=True,
                pad_token_id=PAD_ID,
                eos_token_id=EOS_ID,
                decoder_start_token_id=PAD_ID,
            )
        )
    return BertForMaskedLM(
        BertConfig(
            vocab_size=VOCABULARY_SIZE,
            hidden_size=plan.hidden,
            intermediate_size=plan.inner,
            num_hidden_layers=plan.layers,
            num_attention_heads=plan.hidden // 32,
            max_position_embeddings=MAX_TOKENS,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            pad_token_id=PAD_ID,
        )
    )
