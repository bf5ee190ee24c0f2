"""Accelerators of this machine, without loading torch where there is none: torch takes more than a second to load."""

from __future__ import annotations

import sys
from pathlib import Path

_DEVICE_FILES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd", "/dev/nvhost-gpu", "/dev/nvmap")
"""What Linux shows where torch could find a CUDA device: NVIDIA's, WSL's, AMD's, and those of NVIDIA's small boards."""


def num_cuda_devices() -> int:
    """How many devices torch sees as CUDA devices (NVIDIA's, or AMD's in builds for them)."""
    if sys.platform == "linux" and not any(Path(file).exists() for file in _DEVICE_FILES):
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0
