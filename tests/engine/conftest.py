"""Checkpoints of small random models, built once a session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_models import NAMES, build, make_tokenizer
from transformers import AutoTokenizer

from evalharness.backend.protocol import EngineSettings
from evalharness.engine.backend import TransformersBackend
from evalharness.model.spec import ModelSpec


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of the saved checkpoints by name."""
    folders = {}
    for name in NAMES:
        folder = tmp_path_factory.mktemp("checkpoints") / name
        model, style = build(name)
        model.save_pretrained(folder)
        make_tokenizer(style).save_pretrained(folder)
        folders[name] = folder
    return folders


@pytest.fixture(scope="session")
def models(checkpoints: dict[str, Path]) -> dict[str, Any]:
    """The same models, for oracles that never go through the engine."""
    return {name: build(name)[0] for name in NAMES}


@pytest.fixture(scope="session")
def tokenizers(checkpoints: dict[str, Path]) -> dict[str, Any]:
    """Their tokenizers, as anybody would load them."""
    return {name: AutoTokenizer.from_pretrained(folder) for name, folder in checkpoints.items()}


@pytest.fixture
def open_model(checkpoints: dict[str, Path]) -> Callable[..., TransformersBackend]:
    """Open a backend on a checkpoint: open_model("llama", batch_tokens=64, chat_template="own")."""

    def opener(name: str, *, batch_tokens: int | None = None, on_event: Any = None, **spec: Any) -> TransformersBackend:
        reuse = spec.pop("reuses_prefixes", None)
        settings = EngineSettings(batch_tokens, reuses_prefixes=reuse)
        settings = replace(settings, on_event=on_event) if on_event else settings
        path = spec.pop("path", None) or str(checkpoints[name])
        return TransformersBackend(ModelSpec(name=name, path=path, device="cpu", **spec), settings)

    return opener
