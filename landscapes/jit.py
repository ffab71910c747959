"""`kernel` = Numba's `njit` for this project: serial, without the GIL, compiled once and then loaded from disk.

Numba's own cache does not notice that a function *called* by a kernel changed in another file, so the cache folder is
named by a hash of every file that defines kernels. Kernels are module-level functions and take no function as an
argument: only such kernels load from the cache (0.2 s instead of seconds of compilation).
"""

import hashlib
import os
import pathlib

import numba
import numpy as np
from numba.core import types

ROOT = pathlib.Path(__file__).resolve().parent.parent


def _sources() -> list[pathlib.Path]:
    packages = ("landscapes", "dynamics")
    return sorted(path for name in packages for path in (ROOT / name).glob("*.py") if b"from landscapes.jit import" in path.read_bytes())


def cache_folder() -> pathlib.Path:
    """Where compiled kernels lie: `$LAMBDASCAPE_CACHE`, else `$XDG_CACHE_HOME`, else `~/.cache`; one folder per version of the sources."""
    home = os.environ.get("LAMBDASCAPE_CACHE") or os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    digest = hashlib.sha256(f"{numba.__version__} {np.__version__}".encode())
    for path in [pathlib.Path(__file__), *_sources()]:
        digest.update(path.name.encode() + path.read_bytes())
    return pathlib.Path(home) / "lambdascape" / digest.hexdigest()[:16]


_FOLDER = str(cache_folder())


def kernel(function, fastmath=False):
    """Compile at the first call with each type of arguments; `error_model="numpy"`: 1/0 is inf, as in the NumPy twins.

    Kernels allocate nothing (`_nrt=False`), so no reference is counted at each call, and inline each other
    (`forceinline`): together 12 ns a step of SGD instead of 140. fastmath: which liberties are taken with rounding, see Numba.
    """
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = _FOLDER  # read while decorating only
    try:
        return numba.njit(nogil=True, cache=True, error_model="numpy", _nrt=False, forceinline=True, fastmath=fastmath)(function)
    finally:
        numba.config.CACHE_DIR = before


def is_table(argument: types.Type, kind: type) -> bool:
    """Whether a Numba type is the NamedTuple class `kind`: kernels choose their formulas by it when they are compiled."""
    return isinstance(argument, types.BaseNamedTuple) and argument.instance_class is kind
