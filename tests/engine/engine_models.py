"""Small random models for the tests of the engine: a byte-level BPE tokenizer, a Llama, a GPT-2, a T5 and a BERT."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors, trainers
from tokenizers import models as token_models
from transformers import (
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

CORPUS = [
    "The quick brown fox jumps over the lazy dog. The dog sleeps; the fox does not.",
    "Question: what is two plus two? Answer: four. Question: what is three plus three? Answer: six.",
    "A small model reads a small text, and says what comes next, and next, and next again.",
    "Le renard brun saute par-dessus le chien paresseux. Der schnelle braune Fuchs springt. 中文也在这里。",
] * 5

VOCABULARY = 400
SPECIAL_TOKENS = {"pad": "<pad>", "bos": "<s>", "eos": "</s>", "mask": "<mask>"}
CONTEXT = 96


def make_tokenizer(style: str) -> PreTrainedTokenizerFast:
    """style: plain adds no special tokens, bos adds one in front (Llama), eos one behind (T5), bert [CLS] and [SEP]."""
    tokenizer = Tokenizer(token_models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL_TOKENS.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    around = {"plain": "$A", "bos": "<s> $A", "eos": "$A </s>", "bert": "<s> $A </s>"}[style]
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single=around, special_tokens=[("<s>", 1), ("</s>", 2)]),
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **{f"{name}_token": text for name, text in SPECIAL_TOKENS.items()}
    )


def spread(model: Any, factor: float = 4.0) -> Any:
    """Make a random model's distributions less flat, so that a wrong position or mask shows in the numbers."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(factor if parameter.dim() > 1 else 1.0)
    return model.eval()


SPECIALS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


def build(name: str) -> tuple[Any, str]:
    """Return a small random model and the style of its tokenizer."""
    torch.manual_seed(7)  # the weights are the fixture: every test session builds the same ones
    if name == "llama":
        config = LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=CONTEXT,
            **SPECIALS,
        )
        return spread(LlamaForCausalLM(config)), "bos"
    if name == "gpt2":
        config = GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=CONTEXT, **SPECIALS)
        return spread(GPT2LMHeadModel(config)), "plain"
    if name == "t5":
        config = T5Config(
            vocab_size=VOCABULARY,
            d_model=32,
            d_ff=64,
            d_kv=8,
            num_layers=2,
            num_heads=4,
            n_positions=CONTEXT,
            decoder_start_token_id=0,
            **SPECIALS,
        )
        return spread(T5ForConditionalGeneration(config), 2.0), "eos"
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        **SPECIALS,
    )
    return spread(BertForMaskedLM(config)), "bert"


NAMES = ("llama", "gpt2", "t5", "bert")
