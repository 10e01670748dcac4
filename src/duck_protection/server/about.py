"""What the server tells about itself: /v1/models, /props, /slots, in llama.cpp's shapes."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any, Dict, List

from duck_protection.server.engine import Sampling, describe
from duck_protection.server.replies import FINGERPRINT
from duck_protection.server.service import Service

STARTED = int(time.time())


def models(service: Service) -> Dict[str, Any]:
    """Exactly one, in OpenAI's list and in Ollama's."""
    facts = service.model.engine.facts
    name = service.name
    meta = {
        "vocab_type": 2, "n_vocab": facts.vocabulary, "n_ctx": facts.context_tokens,
        "n_ctx_train": facts.context_tokens, "n_embd": facts.width, "n_params": facts.parameters,
        "size": facts.size_bytes, **describe(facts),
    }  # fmt: skip
    entry = {
        "id": name,
        "aliases": [name],
        "tags": [],
        "object": "model",
        "created": STARTED,
        "owned_by": FINGERPRINT,
        "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
        "meta": meta,
    }
    short = {
        "name": name, "model": name, "modified_at": "", "size": "", "digest": "", "type": "model", "description": "",
        "tags": [""], "capabilities": ["completion", "multimodal"], "parameters": "",
        "details": {
            "parent_model": "", "format": "safetensors", "family": "fastvlm", "families": ["fastvlm"],
            "parameter_size": "", "quantization_level": "",
        },
    }  # fmt: skip
    return {"models": [short], "object": "list", "data": [entry]}


def props(service: Service) -> Dict[str, Any]:
    """What clients read to find out what they talk to. No path of this machine stands in it."""
    facts = service.model.engine.facts
    defaults = asdict(Sampling())
    defaults.pop("logit_bias")
    return {
        "default_generation_settings": {
            "params": {**defaults, "seed": 2**32 - 1, "max_tokens": -1, "n_predict": -1, "stream": False, "n_probs": 0},
            "n_ctx": facts.context_tokens,
        },
        "total_slots": service.settings.slots,
        "model_alias": service.name,
        "model_path": facts.identity.model,
        "modalities": {"vision": True, "audio": False},
        "media_marker": "<image>",
        "chat_template": facts.template,
        "build_info": FINGERPRINT,
        "is_sleeping": False,
        "constraints": facts.constraints,
        "logprobs": facts.logprobs,
    }


def slots(service: Service) -> List[Dict[str, Any]]:
    """How many are busy; which one does what is nobody's business."""
    running, _ = service.scheduler.counts()
    context = service.model.engine.facts.context_tokens
    return [
        {"id": number, "n_ctx": context, "speculative": False, "is_processing": number < running}
        for number in range(service.settings.slots)
    ]
