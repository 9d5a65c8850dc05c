"""The zoo's tokenizer: byte-level BPE, trained on the corpus, with one set of ids for all models."""

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

VOCABULARY_SIZE = 1200
MAX_TOKENS = 512
PAD, BOS, EOS, MASK, CLS, SEP = "<pad>", "<s>", "</s>", "[MASK]", "[CLS]", "[SEP]"
USER, ASSISTANT, SYSTEM, END = "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"
SPECIAL = (PAD, BOS, EOS, MASK, CLS, SEP, USER, ASSISTANT, SYSTEM, END)

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>"
    "{% if message['role'] == 'assistant' %}{{ message['content'] | trim }}{% else %}{{ message['content'] }}{% endif %}"
    "<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def train_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Train the BPE; digits and newlines stand alone, so that a prompt's end never merges with what follows it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\n|\d"), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def tokenizer_for(kind: str, trained: Tokenizer) -> PreTrainedTokenizerFast:
    """Dress the trained tokenizer for a kind of model: `llama`, `chat`, `t5` or `bert`."""
    own = Tokenizer.from_str(trained.to_str())
    ids = {token: own.token_to_id(token) for token in SPECIAL}
    single, pair = {
        "llama": (f"{BOS} $A", f"{BOS} $A $B"),
        "chat": (f"{BOS} $A", f"{BOS} $A $B"),
        "t5": (f"$A {EOS}", f"$A {EOS} $B {EOS}"),
        "bert": (f"{CLS} $A {SEP}", f"{CLS} $A {SEP} $B:1 {SEP}:1"),
    }[kind]
    own.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single=single, pair=pair, special_tokens=list(ids.items())),
        ]
    )
    marks = {"bert": {"mask_token": MASK, "cls_token": CLS, "sep_token": SEP}, "t5": {"eos_token": EOS}}
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=own,
        pad_token=PAD,
        model_max_length=MAX_TOKENS,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"]
        if kind == "bert"
        else ["input_ids", "attention_mask"],
        **marks.get(kind, {"bos_token": BOS, "eos_token": END if kind == "chat" else EOS}),
    )
    if kind == "chat":
        wrapped.chat_template = CHAT_TEMPLATE
    return wrapped
