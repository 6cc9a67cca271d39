"""Pretrained networks from a directory or Hugging Face's hub: safetensors alone, and no code of others is run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import torch
from safetensors import SafetensorError
from transformers import PreTrainedConfig, PreTrainedModel

from policies.interface import check_finite
from vla_envs.errors import DamagedAssetsError, InvalidArgumentError, MissingAssetsError

ModelT = TypeVar("ModelT", bound=PreTrainedModel)


def pretrained_model(
    kind: type[ModelT], config: PreTrainedConfig, source: str, dtype: torch.dtype = torch.float32, **keywords: Any
) -> ModelT:
    """Return a pretrained network.

    Args:
        kind: class of the network, or one of transformers' that finds it by the configuration.
        config: its sizes.
        source: directory or name.
        dtype: type of its parameters.
        **keywords: further ones of the class.

    Raises:
        MissingAssetsError: there are no safetensors.
        DamagedAssetsError: they are damaged, or lack a tensor.
        NonFiniteError: a weight is NaN or infinite.
    """
    load: Any = kind.from_pretrained  # whose annotation leaves out the report
    with explained(source):
        model, report = load(
            source, config=config, dtype=dtype, use_safetensors=True, output_loading_info=True, **keywords
        )
    if missing := sorted(report["missing_keys"]):
        raise DamagedAssetsError(f"Expect `{source}` to hold the tensor {missing[0]!r} (of {len(missing)} missing).")
    check_finite(model.named_parameters(), f"Take another checkpoint than `{source}`.")
    return cast(ModelT, model)


@contextmanager
def explained(source: str) -> Iterator[None]:
    """Say what is wrong with a pretrained network in the words of this package."""
    try:
        yield
    except (InvalidArgumentError, MissingAssetsError):
        raise
    except OSError as error:
        raise MissingAssetsError(
            f"Expect `{source}` to be a directory, or a name on the hub, with config.json and safetensors, actually: "
            f"{str(error).splitlines()[0]} Download one with: hf download <repository> --local-dir {source}"
        ) from error
    except SafetensorError as error:
        raise DamagedAssetsError(f"`{source}` is cut short: {error}. Download it again.") from error
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise InvalidArgumentError(f"`{source}` is damaged or of another model: {error}") from error
