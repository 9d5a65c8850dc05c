"""Train the zoo: `python examples/zoo/train.py --model llama-tiny`, or `--all`.

Everything follows from fixed seeds: the corpus, the tokenizer, the weights and the order of the batches. Sums of
floating-point numbers differ between processors and thread counts, so another machine gets close figures, not equal ones.
"""

import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import torch
from architectures import END_ID, PLANS, Plan, new_model
from batches import BATCHES, Batch, chat_batches, encode
from corpus.training import text_of, training_documents
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, PreTrainedModel
from vocabulary import tokenizer_for, train_tokenizer

ZOO = Path(__file__).parent
SEED = 20
N_TOKENIZER_DOCUMENTS = 20_000
N_CHAT_DOCUMENTS = 20_000


def loss_of(model: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """Compute the mean loss of a batch: weighted where the batch has weights, else over the unignored labels."""
    inputs = {name: tensor for name, tensor in batch.items() if name in ("input_ids", "attention_mask")}
    if "weights" not in batch:
        return model(**inputs, labels=batch["labels"]).loss
    logits = model(**inputs, use_cache=False).logits.float()
    losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten(), reduction="none")
    weights = batch["weights"].flatten()
    return (losses * weights).sum() / weights.sum()


def share_of_rate(step: int, steps: int) -> float:
    """Give the learning rate's factor: a short rise, a plateau, and a fall to nothing over the last two fifths."""
    return min(1.0, (step + 1) / 100, (steps - step) / (0.4 * steps))


def optimizers_for(model: PreTrainedModel, plan: Plan) -> list[torch.optim.Optimizer]:
    """Use Muon for the layers' matrices and AdamW for the rest (embeddings, norms, biases)."""
    matrices, rest = [], []
    for name, parameter in model.named_parameters():
        is_matrix = parameter.ndim == 2 and not any(part in name for part in ("embed", "shared", "lm_head", "bias"))
        (matrices if is_matrix else rest).append(parameter)
    return [
        torch.optim.Muon(matrices, lr=plan.learning_rate, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=plan.rest_rate or plan.learning_rate, betas=(0.9, 0.98), weight_decay=0.01),
    ]


def save(model: PreTrainedModel, plan: Plan, trained: Tokenizer, directory: Path) -> None:
    """Save weights, configuration and tokenizer as `from_pretrained` reads them."""
    model.save_pretrained(directory)
    tokenizer_for(plan.kind, trained).save_pretrained(directory)


def train(name: str, out: Path, batches: Iterator[Batch], trained: Tokenizer) -> None:
    """Train one checkpoint and write it, its steps and a record of what was measured."""
    plan = PLANS[name]
    torch.manual_seed(SEED)
    model = AutoModelForCausalLM.from_pretrained(out / plan.begins_from) if plan.begins_from else new_model(plan)
    if plan.kind == "chat":
        model.config.eos_token_id = model.generation_config.eos_token_id = END_ID
    model.train()
    optimizers = optimizers_for(model, plan)
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: share_of_rate(step, plan.steps))
        for optimizer in optimizers
    ]
    mean_loss, n_tokens, begin = math.nan, 0, perf_counter()

    def finish(directory: Path, step: int) -> None:
        save(model, plan, trained, directory)
        record = {
            "model": directory.name,
            "parameters": model.num_parameters(),
            "steps": step,
            "training_tokens": n_tokens,
            "loss": round(mean_loss, 4),
            "seconds": round(perf_counter() - begin),
        }
        (directory / "training.json").write_text(json.dumps(record, indent=2, sort_keys=True) + "\n")
        print(record, flush=True)

    for step in range(1, plan.steps + 1):
        batch = next(batches)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = loss_of(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
        n_tokens += int((batch["input_ids"] != 0).sum())
        if plan.kind == "t5":
            n_tokens += int((batch["labels"] >= 0).sum())
        # An average over about the last 50 steps: one batch's loss says little.
        mean_loss = loss.item() if step == 1 else mean_loss + (loss.item() - mean_loss) / min(step, 50)
        if step % 50 == 0:
            print(
                f"{name} step {step} loss {mean_loss:.4f} tokens {n_tokens} {perf_counter() - begin:.0f} s", flush=True
            )
        if step in plan.saved_steps:
            finish(out / f"{name}-step-{step:04d}", step)
    finish(out / name, plan.steps)


def main() -> None:
    """Read the command line and train what it names."""
    parser = argparse.ArgumentParser(description="Train the zoo's checkpoints.")
    parser.add_argument("--model", nargs="+", choices=list(PLANS), default=[])
    parser.add_argument("--all", action="store_true", help="train every checkpoint")
    parser.add_argument("--out", type=Path, default=ZOO, help="where to write the checkpoints")
    parser.add_argument("--threads", type=int, default=1, help="more change the sums, and so the weights, a little")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    documents = list(training_documents())
    trained = train_tokenizer(text_of(document) for document in documents[:N_TOKENIZER_DOCUMENTS])
    encoded = encode(documents, trained)
    print(f"{len(documents)} documents, {sum(len(d.ids) for d in encoded)} tokens", flush=True)
    for name in list(PLANS) if arguments.all else arguments.model:
        plan = PLANS[name]
        if plan.kind == "chat":
            batches = chat_batches(documents[:N_CHAT_DOCUMENTS], trained, plan.batch_tokens)
        else:
            batches = BATCHES[plan.kind](encoded, plan.batch_tokens)
        train(name, arguments.out, batches, trained)


if __name__ == "__main__":
    main()
