"""Where models run by default, in which precision, and in how much memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def best_device() -> str:
    """`cuda` where torch finds a GPU, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def faster_in_bfloat16(device: str) -> bool:
    """Whether bfloat16 is faster there than float32: on GPUs, and on CPUs that multiply it (AMX or AVX-512 BF16).

    On a CPU with AVX-512 alone a step of a small student in bfloat16 took 1.9 times as long.
    """
    import torch

    if torch.device(device).type != "cpu":
        return True
    able = torch.cpu.get_capabilities()
    return bool(able.get("amx_bf16") or able.get("avx512_bf16"))


def memory_size(root: Path = Path("/")) -> int:
    """Bytes of memory that this process may use: less than the machine has where a container or a job of a cluster may.

    Args:
        root: where `proc` and `sys` are.
    """
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_allowed(root)])


def _allowed(root: Path) -> Iterator[int]:
    """Limits of this process's control groups (https://docs.kernel.org/admin-guide/cgroup-v2.html, and version 1)."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            mounted, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            mounted, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        group = mounted / path.lstrip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(mounted):
                break
            try:
                limit = (folder / name).read_text().strip()
            except OSError:  # the group is outside of what a container sees, or the root, which has no limit
                continue
            if limit.isdigit():  # else "max"
                yield int(limit)
