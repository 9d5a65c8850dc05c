"""Small random classifiers: heads on encoders, decoders and encoder-decoders, with a tokenizer that joins pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from engine_models import CONTEXT, SPECIALS, VOCABULARY, make_tokenizer, spread
from tokenizers import processors
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

_LAYERS = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
_BERT_LIKE = {**_LAYERS, "max_position_embeddings": CONTEXT}
_D_MODEL = {"d_model": 32, "decoder_start_token_id": 0}
_BART_LIKE = {
    **_D_MODEL,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": CONTEXT,
}
_NO_PADDING = {"pad_token_id": None}
#: Type of the model, how its tokenizer puts special tokens, and what makes its default config small.
CLASSIFIERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert": ("bert", "bert", _BERT_LIKE),
    "roberta": ("roberta", "bert", {**_BERT_LIKE, "max_position_embeddings": CONTEXT + 1}),
    "distilbert": (
        "distilbert",
        "bert",
        {"dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 4, "max_position_embeddings": CONTEXT},
    ),
    "llama": ("llama", "bos", _BERT_LIKE),
    "llama-no-padding": ("llama", "bos", {**_BERT_LIKE, **_NO_PADDING}),
    "gpt2": ("gpt2", "plain", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": CONTEXT}),
    "gpt2-no-padding": (
        "gpt2",
        "plain",
        {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": CONTEXT, **_NO_PADDING},
    ),
    "t5": ("t5", "eos", {**_D_MODEL, "d_ff": 64, "d_kv": 8, "num_layers": 2, "num_heads": 4, "n_positions": CONTEXT}),
}
#: Further kinds that batching could break: ends, convolutions and mixing without a mask, windows, relative positions.
MORE_CLASSIFIERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bart": ("bart", "bert", _BART_LIKE),
    "deberta-v2": ("deberta-v2", "bert", {**_BERT_LIKE, "relative_attention": True, "pos_att_type": "p2c|c2p"}),
    "electra": ("electra", "bert", {**_BERT_LIKE, "embedding_size": 32}),
    "albert": ("albert", "bert", {**_BERT_LIKE, "embedding_size": 16}),
    "modernbert": ("modernbert", "bert", {**_BERT_LIKE, "local_attention": 8, "cls_token_id": 1, "sep_token_id": 2}),
    "mistral": ("mistral", "bos", {**_BERT_LIKE, "num_key_value_heads": 2, "sliding_window": 8}),
    "xlnet": ("xlnet", "eos", {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 64}),
    "convbert": ("convbert", "bert", {**_BERT_LIKE, "embedding_size": 32, "conv_kernel_size": 3, "head_ratio": 1}),
    "fnet": ("fnet", "bert", {**_BERT_LIKE, "use_tpu_fourier_optimizations": False}),
}
ALL_CLASSIFIERS = CLASSIFIERS | MORE_CLASSIFIERS


def make_pair_tokenizer(style: str) -> PreTrainedTokenizerFast:
    """As `make_tokenizer`, and pairs have special tokens between them where single texts have some around them."""
    tokenizer = make_tokenizer(style)
    single, pair = {
        "plain": ("$A:0", "$A:0 $B:1"),
        "bos": ("<s>:0 $A:0", "<s>:0 $A:0 <s>:1 $B:1"),
        "eos": ("$A:0 </s>:0", "$A:0 </s>:0 $B:1 </s>:1"),
        "bert": ("<s>:0 $A:0 </s>:0", "<s>:0 $A:0 </s>:0 $B:1 </s>:1"),
    }[style]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return tokenizer


def build_classifier(name: str, labels: tuple[str, ...] = ("fine", "rude", "toxic")) -> Any:
    """Return a small random classifier, the same one in every session."""
    model_type, _, sizes = ALL_CLASSIFIERS[name]
    config = CONFIG_MAPPING[model_type](
        vocab_size=VOCABULARY, **{**SPECIALS, "id2label": dict(enumerate(labels)), **sizes}
    )
    torch.manual_seed(13)
    model = AutoModelForSequenceClassification.from_config(config)
    with torch.no_grad():  # what a fresh model has at exactly zero or one would hide mistakes
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    return spread(model.float(), 2.0)


def save_classifier(folder: Path, name: str, labels: tuple[str, ...] = ("fine", "rude", "toxic")) -> Path:
    """Write a checkpoint with its tokenizer."""
    build_classifier(name, labels).save_pretrained(folder)
    make_pair_tokenizer(ALL_CLASSIFIERS[name][1]).save_pretrained(folder)
    return folder
