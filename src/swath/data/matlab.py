"""Labels in MATLAB files, as SBD and PASCAL Context are published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swath.errors import SwathError


def read_mat(path: Path, variable: str) -> NDArray[np.uint16]:
    """H x W values of a variable, such as `LabelMap` or `GTcls.Segmentation` (a field of a structure)."""
    try:
        from scipy.io import loadmat  # type: ignore[import-untyped]
    except ImportError as error:
        raise SwathError(f"{path}: MATLAB files are read with scipy; install it: pip install 'swath[mat]'") from error
    first, *fields = variable.split(".")
    try:
        values: Any = loadmat(path, variable_names=[first], struct_as_record=False)[first]
        for field in fields:
            values = getattr(values.item(), field)
    except KeyError as error:
        raise SwathError(f"{path}: holds no variable '{first}'") from error
    except AttributeError as error:
        raise SwathError(f"{path}: '{first}' has no field '{'.'.join(fields)}'") from error
    except Exception as error:  # whatever a broken file makes the decoder stumble over
        said = " ".join(str(error).split())[:160] or type(error).__name__
        raise SwathError(f"{path}: cannot be decoded; it is cut off or damaged ({said})") from error
    array = np.asarray(values)
    if array.ndim != 2 or array.dtype.kind not in "uif" or (array != array.astype(np.uint16)).any():
        raise SwathError(f"{path}: '{variable}' is no map of whole numbers from 0 to 65535")
    return array.astype(np.uint16)
