"""How memory that has run out is told from other errors."""

import torch

EXHAUSTED = (
    "can't allocate memory",
    "not enough memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "DEVICE_ALLOCATION_FAILED",
    "HOST_ALLOCATION_FAILED",
)
"""What torch's errors say where memory has run out and they are no `OutOfMemoryError`."""


def out_of_memory(error: BaseException | None) -> bool:
    """Whether it is that, or was raised in the wake of that, as where a recording cannot be ended. torch has
    a class of its own for CUDA's allocator alone."""
    while error is not None:
        named = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if named or any(words in str(error) for words in EXHAUSTED):
            return True
        error = error.__context__
    return False
