"""What glibc does with memory that is freed."""

import ctypes
import functools

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # <malloc.h>
_KEPT = 2**30


@functools.cache
def keep_freed_memory() -> None:
    """Reuse freed blocks of up to 1 GB in this process, instead of handing them back to the kernel.

    A training step frees and allocates the same tensors again and again. Those above glibc's limit of
    32 MB come from the kernel each time, page by page: a quarter of a VGG-6 step. Not done where the C
    library is another.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _KEPT)
        mallopt(_TRIM_THRESHOLD, _KEPT)
