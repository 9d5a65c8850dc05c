"""Backends: who answers requests, found by name."""

from __future__ import annotations

from evalharness.backend.protocol import Backend, BackendFactory, EngineSettings
from evalharness.errors import ModelError
from evalharness.model.spec import ModelSpec
from evalharness.registry import Registry

#: The backends by name; other packages add theirs to the entry-point group ``evalharness.backends``.
BACKENDS: Registry[BackendFactory] = Registry(
    "backend",
    {
        "transformers": "evalharness.engine.backend:open_backend",
        "fake": "evalharness.backend.fake:open_backend",
        "replay": "evalharness.backend.replay:open_backend",
    },
    "evalharness.backends",
    error=ModelError,
)


def open_backend(spec: ModelSpec, settings: EngineSettings) -> Backend:
    """Open the backend that `spec` names. Raises ModelError where it is unknown or cannot load the model."""
    return BACKENDS[spec.backend](spec, settings)
