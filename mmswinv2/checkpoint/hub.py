"""Checkpoints on the Hugging Face Hub, named ``hf-hub:OWNER/NAME`` or ``hf-hub:OWNER/NAME@REVISION``."""

from contextlib import suppress
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from .errors import CheckpointError

PREFIX = "hf-hub:"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
CONFIG = "config.json"


def fetch(source: str) -> Path:
    """Downloads a repository's weights, and beside them its ``config.json`` if it has one.

    What is in huggingface_hub's cache already is not downloaded again.

    Args:
        source: ``hf-hub:OWNER/NAME[@REVISION]``; a revision is a branch, tag or commit.

    Returns:
        The file of weights in the cache.

    Raises:
        CheckpointError: There is no such repository, it has no weights, or the Hub cannot be reached.
    """
    repository, _, revision = source.removeprefix(PREFIX).partition("@")
    try:
        weights = _download_first(repository, WEIGHTS, revision or None)
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{source}: the Hugging Face Hub cannot be reached and its cache does not hold the weights. Go online, "
            "unset HF_HUB_OFFLINE, check HF_ENDPOINT; or download the file elsewhere and give its path"
        ) from error
    except EntryNotFoundError as error:
        raise CheckpointError(
            f"{source}: the repository has none of {', '.join(WEIGHTS)}; download its file and give the path"
        ) from error
    except (GatedRepoError, RepositoryNotFoundError) as error:
        raise CheckpointError(
            f"{source}: there is no such repository on the Hugging Face Hub, or it is not open to you. Check the "
            "name; for a private or gated one accept its terms and log in with `hf auth login`"
        ) from error
    except RevisionNotFoundError as error:
        raise CheckpointError(f"{source}: the repository has no branch, tag or commit {revision!r}") from error
    except HFValidationError as error:
        raise CheckpointError(f"{source}: not of the form {PREFIX}OWNER/NAME[@REVISION]") from error
    except OSError as error:
        raise CheckpointError(f"{source}: the download failed ({error})") from error
    return weights


def _download_first(repository: str, names: tuple[str, ...], revision: str | None) -> Path:
    """Downloads the first of ``names`` that there is, together with the config."""
    for name in names:
        try:
            weights = Path(hf_hub_download(repository, name, revision=revision))
        except EntryNotFoundError as error:
            missing = error
        else:
            _download_config(repository, revision)
            return weights
    raise missing


def _download_config(repository: str, revision: str | None) -> None:
    with suppress(EntryNotFoundError):
        hf_hub_download(repository, CONFIG, revision=revision)
