"""What memreg uses of FFCV, all of it imported here.

Importing FFCV sets torch to one thread, which is undone. Raises `MemregError` where FFCV is not installed.
"""

import torch

from memreg.errors import MemregError

_threads = torch.get_num_threads()
try:
    from ffcv.fields import NDArrayField
    from ffcv.fields.decoders import NDArrayDecoder
    from ffcv.loader import Loader
    from ffcv.loader.epoch_iterator import EpochIterator
    from ffcv.memory_allocator import MemoryAllocator
    from ffcv.reader import Reader
    from ffcv.transforms import ToTensor
    from ffcv.writer import DatasetWriter, handle_sample
except ImportError as error:
    raise MemregError(
        f"loader ffcv needs FFCV, which cannot be imported ({error}): apt-get install pkg-config "
        "libopencv-dev libturbojpeg0-dev g++ python3-dev, then pip install -e '.[ffcv]'"
    ) from error
finally:
    torch.set_num_threads(_threads)

__all__ = [
    "DatasetWriter",
    "EpochIterator",
    "Loader",
    "MemoryAllocator",
    "NDArrayDecoder",
    "NDArrayField",
    "Reader",
    "ToTensor",
    "handle_sample",
]
