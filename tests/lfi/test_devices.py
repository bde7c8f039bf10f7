"""How much memory a process may use."""

import os
from pathlib import Path

import pytest

from lfi.devices import memory_size

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
LIMITS = {
    "none: not Linux": ({}, MACHINE),
    "none: the root group": ({"proc/self/cgroup": "0::/\n"}, MACHINE),
    "a container's": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1000000\n"}, 1_000_000),
    "a job's step without a limit, in a job with one": (
        {
            "proc/self/cgroup": "0::/slurm/job_7/step_0\n",
            "sys/fs/cgroup/slurm/job_7/step_0/memory.max": "max\n",
            "sys/fs/cgroup/slurm/job_7/memory.max": "2000000\n",
            "sys/fs/cgroup/slurm/memory.max": "3000000\n",
        },
        2_000_000,
    ),
    "version 1, of a group that the container does not see": (
        {
            "proc/self/cgroup": "5:devices:/docker/ab\n4:cpu,memory:/docker/ab\n0::/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "4000000\n",
        },
        4_000_000,
    ),
    "version 1, without a limit": (
        {"proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"},
        MACHINE,
    ),
}


@pytest.mark.parametrize("case", LIMITS)
def test_memory_is_what_a_container_or_a_cluster_s_job_may_use(case: str, tmp_path: Path):
    files, expected = LIMITS[case]
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert memory_size(tmp_path) == expected
