"""From the corpus to batches of token ids, one way for each kind of model."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from architectures import ASSISTANT_ID, BOS_ID, CLS_ID, END_ID, EOS_ID, MASK_ID, PAD_ID, SEP_ID, USER_ID
from corpus.arithmetic import ANSWER_MARK
from corpus.chance import Dice
from corpus.item import Item
from corpus.training import SEPARATOR, Document
from tokenizers import Tokenizer

ROW_TOKENS = 256
PROMPT_WEIGHT = 0.1
"""A prompt's tokens are mostly chance: learning to foretell them is worth little, learning to answer is the aim."""
IGNORED = -100


@dataclass(frozen=True)
class Encoded:
    """A document's token ids, without marks of begin or end, and where its answers are."""

    ids: np.ndarray
    is_answer: np.ndarray
    answer_begin: int
    """Where the last item's answer begins."""


def encode(documents: list[Document], trained: Tokenizer) -> list[Encoded]:
    """Encode documents piece by piece; pieces begin with a space or a newline, so none would merge with another."""
    pieces, owners = [], []
    for number, document in enumerate(documents):
        for place, item in enumerate(document):
            prompt = (SEPARATOR if place else "") + item.prompt
            pieces += [prompt, item.answer]
            owners += [number, number]
    ids_by_document: list[list[int]] = [[] for _ in documents]
    answers_by_document: list[list[bool]] = [[] for _ in documents]
    begins = [0] * len(documents)
    for place, encoding in enumerate(trained.encode_batch_fast(pieces, add_special_tokens=False)):
        number, is_answer = owners[place], place % 2 == 1
        if is_answer:
            begins[number] = len(ids_by_document[number])
        ids_by_document[number] += encoding.ids
        answers_by_document[number] += [is_answer] * len(encoding.ids)
    return [
        Encoded(np.array(ids, np.int64), np.array(answers, bool), begin)
        for ids, answers, begin in zip(ids_by_document, answers_by_document, begins, strict=True)
    ]


Batch = dict[str, torch.Tensor]


def causal_batches(documents: list[Encoded], batch_tokens: int) -> Iterator[Batch]:
    """Pack `BOS document EOS` end to end into rows; each pass over the rows has another order."""
    ids = np.concatenate([np.concatenate([[BOS_ID], d.ids, [EOS_ID]]) for d in documents])
    weights = np.concatenate(
        [np.concatenate([[0.0], np.where(d.is_answer, 1, PROMPT_WEIGHT), [1.0]]) for d in documents]
    )
    yield from _packed(ids, weights, batch_tokens)


def chat_batches(documents: list[Document], trained: Tokenizer, batch_tokens: int) -> Iterator[Batch]:
    """Pack chats end to end; only the assistant's parts are learnt. Plain texts are left out: nobody asks for them."""
    dice, all_ids, all_weights = Dice("chat"), [], []
    for document in documents:
        if not all(item.prompt for item in document):
            continue
        turns = [turn for item in document for turn in _turns(item)]
        if len(document) > 1 and dice.below(2) == 0:
            # The shots stand in the user's message instead of in turns of their own.
            shots = SEPARATOR.join(item.text for item in document[:-1])
            (first, answer), *rest = _turns(document[-1])
            turns = [(f"{shots}{SEPARATOR}{first}", answer), *rest]
        ids, weights = [BOS_ID], [0.0]
        texts = [text for turn in turns for text in turn]
        for place, encoding in enumerate(trained.encode_batch_fast(texts, add_special_tokens=False)):
            ids += [ASSISTANT_ID if place % 2 else USER_ID, *encoding.ids, END_ID]
            weights += [0.0, *[float(place % 2)] * (len(encoding.ids) + 1)]
        all_ids += ids
        all_weights += weights
    yield from _packed(np.array(all_ids), np.array(all_weights), batch_tokens)


def _turns(item: Item) -> list[tuple[str, str]]:
    """Cut an item into the turns in which a chat model is asked: the line after a reasoning begins with a new question."""
    reasoning, mark, result = item.answer.partition(ANSWER_MARK)
    if not mark:
        return [(item.prompt, item.answer.strip())]
    return [(item.prompt, reasoning.strip()), (mark, result.strip())]


def _packed(ids: np.ndarray, weights: np.ndarray, batch_tokens: int) -> Iterator[Batch]:
    rows = (len(ids) - 1) // ROW_TOKENS
    inputs = ids[: rows * ROW_TOKENS].reshape(rows, ROW_TOKENS)
    labels = ids[1 : rows * ROW_TOKENS + 1].reshape(rows, ROW_TOKENS)
    weights = weights[1 : rows * ROW_TOKENS + 1].reshape(rows, ROW_TOKENS)
    size, epoch = batch_tokens // ROW_TOKENS, 0
    while True:
        order = np.random.default_rng((3, epoch)).permutation(rows)
        for begin in range(0, rows - size + 1, size):
            chosen = order[begin : begin + size]
            yield {
                "input_ids": torch.from_numpy(inputs[chosen]),
                "labels": torch.from_numpy(labels[chosen]),
                "weights": torch.from_numpy(weights[chosen].astype(np.float32)),
            }
        epoch += 1


def _by_length(lengths: np.ndarray, batch_tokens: int, epoch: int) -> Iterator[np.ndarray]:
    """Group documents of like length, so that little is padding, and give the groups in random order."""
    rng = np.random.default_rng((5, epoch))
    order = rng.permutation(len(lengths))
    order = order[np.argsort(lengths[order], kind="stable")]
    groups, begin = [], 0
    while begin < len(order):
        longest = max(1, int(lengths[order[min(len(order) - 1, begin + 64)]]))
        size = max(1, batch_tokens // longest)
        groups.append(order[begin : begin + size])
        begin += size
    for place in rng.permutation(len(groups)):
        yield groups[place]


def _padded(rows: list[np.ndarray], fill: int) -> torch.Tensor:
    out = np.full((len(rows), max(map(len, rows))), fill, np.int64)
    for place, row in enumerate(rows):
        out[place, : len(row)] = row
    return torch.from_numpy(out)


def t5_batches(documents: list[Encoded], batch_tokens: int) -> Iterator[Batch]:
    """Give prompts (with their shots) to the encoder and the last answer to the decoder."""
    sources = [np.append(d.ids[: d.answer_begin], EOS_ID) for d in documents]
    targets = [np.append(d.ids[d.answer_begin :], EOS_ID) for d in documents]
    lengths = np.array([len(s) + len(t) for s, t in zip(sources, targets, strict=True)])
    epoch = 0
    while True:
        for group in _by_length(lengths, batch_tokens, epoch):
            source = _padded([sources[i] for i in group], PAD_ID)
            yield {
                "input_ids": source,
                "attention_mask": (source != PAD_ID).long(),
                "labels": _padded([targets[i] for i in group], IGNORED),
            }
        epoch += 1


def bert_batches(documents: list[Encoded], batch_tokens: int) -> Iterator[Batch]:
    """Mask 15 of 100 tokens at random; in two documents of three, mask also one or all tokens of an answer."""
    rows = [np.concatenate([[CLS_ID], d.ids, [SEP_ID]]) for d in documents]
    lengths = np.array([len(row) for row in rows])
    epoch = 0
    while True:
        rng = np.random.default_rng((7, epoch))
        for group in _by_length(lengths, batch_tokens, epoch):
            inputs, labels = [], []
            for i in group:
                row, d = rows[i].copy(), documents[i]
                masked = rng.random(len(row)) < 0.15
                masked[0] = masked[-1] = False
                if rng.random() < 2 / 3:
                    answer = np.arange(d.answer_begin + 1, len(row) - 1)
                    masked[answer if rng.random() < 0.5 else rng.choice(answer)] = True
                labels.append(np.where(masked, row, IGNORED))
                row[masked] = MASK_ID
                inputs.append(row)
            ids = _padded(inputs, PAD_ID)
            yield {"input_ids": ids, "attention_mask": (ids != PAD_ID).long(), "labels": _padded(labels, IGNORED)}
        epoch += 1


BATCHES = {"llama": causal_batches, "t5": t5_batches, "bert": bert_batches}
