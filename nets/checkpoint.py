"""A state in a file: written whole or not at all, read back bit for bit, and refused with one clear error when it is damaged.

Files hold tensors, numbers and text only (`torch.load(weights_only=True)`), so that reading one runs no code.
"""

import os
import tempfile
import zipfile
from pathlib import Path

import torch

FORMAT = "lambdascape checkpoint 1"


def write(path, content: dict) -> None:
    """Replace the file at once when all is written: an interruption, or a full disk, leaves the former one as it was."""
    path = Path(path)
    try:
        handle, draft = tempfile.mkstemp(prefix=path.name, suffix=".part", dir=path.parent)
    except OSError as error:
        raise ValueError(f"checkpoint {str(path)!r}: cannot be written ({error}); name a file in a folder that exists and is yours") from error
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save({"format": FORMAT, **content}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def read(path, kind: str) -> dict:
    """What `write` was given, on the CPU; its entry "kind" must be this one.

    Raises ValueError if the file is missing, truncated, damaged, or no such checkpoint.
    """
    name = f"checkpoint {str(path)!r}"
    try:
        with zipfile.ZipFile(path) as file:
            damaged = file.testzip()  # torch.load does not look at the checksums
        if damaged:
            raise ValueError(f"its part {damaged} is damaged")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ValueError(f"{name}: there is no such file; name one that was saved, or start anew") from error
    except Exception as error:  # a damaged file may raise anything: BadZipFile, UnpicklingError, RuntimeError, EOFError, ...
        said = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(f"{name}: truncated or damaged ({said}); take an older one, or start anew") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT or content.get("kind") != kind:
        found = content.get("kind", "something else") if isinstance(content, dict) else "something else"
        raise ValueError(f"{name}: it holds {found}, not {kind} as {FORMAT!r} writes it; name a file that .save wrote")
    return content
