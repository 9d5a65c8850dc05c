"""Tiny untrained COMET models by unbabel-comet's own classes, and what its `predict` says: run in its environment.

``python comet_models.py FOLDER`` writes FOLDER/<name>/checkpoints/model.ckpt, reads FOLDER/segments.json and writes
FOLDER/predicted.json: {name: {"scores": [...], "system_score": ...}}.
"""

import json
import sys
from pathlib import Path

import pytorch_lightning
import torch
import yaml
from comet import load_from_checkpoint
from comet.models import RankingMetric, ReferencelessRegression, RegressionMetric, UnifiedMetric
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import XLMRobertaConfig, XLMRobertaTokenizerFast

LETTERS = "abcdefghijklmnopqrstuvwxyzäöüßABCDEFGHIJKLMNOPQRSTUVWXYZ .,0123456789?!'▁"


def write_encoder(folder):
    """An XLM-R of 2 layers and 16 dimensions that reads letters."""
    vocabulary = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")]
    vocabulary += [(letter, -2.0) for letter in sorted(set(LETTERS))] + [("<mask>", 0.0)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    XLMRobertaTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    XLMRobertaConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=130,
        type_vocab_size=1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    ).save_pretrained(folder)


def write_model(folder, encoder, kind, **parameters):
    torch.manual_seed(7)
    model = kind(pretrained_model=str(encoder), load_pretrained_weights=False, local_files_only=True, **parameters)
    for weights in model.parameters():
        if weights.dim() > 1:
            torch.nn.init.normal_(weights, std=0.3)
    file = folder / "checkpoints" / "model.ckpt"
    file.parent.mkdir(parents=True)
    trainer = pytorch_lightning.Trainer(logger=False, accelerator="cpu", enable_progress_bar=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(file, weights_only=True)
    (folder / "hparams.yaml").write_text(yaml.safe_dump({"class_identifier": model.hparams["class_identifier"]}))
    return file


def main(folder):
    write_encoder(folder / "encoder")
    segments = json.loads((folder / "segments.json").read_text())
    predicted = {}
    for name, kind, parameters in [
        ("regression", RegressionMetric, {"hidden_sizes": [16]}),
        ("referenceless", ReferencelessRegression, {"hidden_sizes": [16]}),
        ("ranking", RankingMetric, {}),
        ("unified", UnifiedMetric, {"hidden_sizes": [16], "input_segments": ["mt", "src", "ref"]}),
    ]:
        file = write_model(folder / name, folder / "encoder", kind, **parameters)
        found = load_from_checkpoint(file).predict(segments, gpus=0, progress_bar=False)
        predicted[name] = {"scores": found["scores"], "system_score": found["system_score"]}
    (folder / "predicted.json").write_text(json.dumps(predicted))


main(Path(sys.argv[1]))
