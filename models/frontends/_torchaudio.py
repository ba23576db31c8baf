"""Import of torchaudio, in one place.

torchaudio 2.11 is built for CUDA 13.0. With a torch of another build (CPU only, CUDA 13.2) its native library does
not load, and `import torchaudio` fails although nearly all of its operators are plain Python. If that is the
reason, an empty `torchaudio._extension` replaces the native one; operators that need the native library
(`rnnt_loss`, `forced_align`) then raise when they are called. Other failures are raised.
"""

import sys
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any


def _unavailable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate an operator that needs the native library."""

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError(
            f"torchaudio.functional.{function.__name__} needs torchaudio's native library, which does not fit this "
            f"build of torch: install the torch that torchaudio was built for"
        )

    return refuse


def _stand_in() -> ModuleType:
    """Return a `torchaudio._extension` without a native library."""
    extension = ModuleType("torchaudio._extension", "Stands in for torchaudio's native library, which does not load.")
    vars(extension).update(
        _IS_TORCHAUDIO_EXT_AVAILABLE=False,
        _IS_ALIGN_AVAILABLE=False,
        _check_cuda_version=lambda: None,
        fail_if_no_align=_unavailable,
    )
    return extension


def _native_library_failed(error: Exception) -> bool:
    return any(
        frame.f_globals.get("__name__") == "torchaudio._extension"
        for frame, _ in traceback.walk_tb(error.__traceback__)
    )


try:
    import torchaudio
except ModuleNotFoundError as error:
    if error.name != "torchaudio":
        raise
    raise ModuleNotFoundError(
        "torchaudio is not installed, and the mel filters come from it: pip install 'torchaudio>=2.11,<2.12'",
        name="torchaudio",
    ) from error
except (OSError, RuntimeError) as error:
    if not _native_library_failed(error):
        raise
    sys.modules["torchaudio._extension"] = _stand_in()
    import torchaudio

functional = torchaudio.functional
transforms = torchaudio.transforms
NATIVE: bool = torchaudio._extension._IS_TORCHAUDIO_EXT_AVAILABLE
"""Whether torchaudio's native library is loaded."""
