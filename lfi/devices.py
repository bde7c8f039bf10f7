"""Where models run by default, and in which precision."""

from __future__ import annotations


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
