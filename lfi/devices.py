"""Where models run by default, in which precision, on how many cores and in how much memory."""

from __future__ import annotations

import math
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
    """Bytes of memory that this process may use: the machine's, or what its container or its job on a cluster may.

    Args:
        root: where `proc` and `sys` are.
    """
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for group in _groups(root, "memory"):
        limit = _words(group, "memory.max") or _words(group, "memory.limit_in_bytes")
        if limit and limit[0].isdigit():
            found.append(int(limit[0]))
    return min(found)


def cores(root: Path = Path("/")) -> int:
    """CPU cores that this process may use, at least 1: those it may run on, or a container's share of their time.

    Args:
        root: as for `memory_size`.
    """
    found = [len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1]
    for group in _groups(root, "cpu"):
        share = _words(group, "cpu.max") or _words(group, "cpu.cfs_quota_us", "cpu.cfs_period_us")
        if share and share[0].isdigit():
            found.append(math.ceil(int(share[0]) / int(share[1])))
    return max(1, min(found))


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of this process's control groups, its own first.

    See https://docs.kernel.org/admin-guide/cgroup-v2.html, and `cgroup-v1` there.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "" or controller in controllers.split(","):
            mounted = root / "sys/fs/cgroup" / (controller if controllers else "")
            group = mounted / path.lstrip("/")
            yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(mounted))


def _words(folder: Path, *names: str) -> list[str]:
    """What files of a control group say; nothing where one is missing, as in groups that a container does not see."""
    try:
        return [word for name in names for word in (folder / name).read_text().split()]
    except OSError:
        return []
