"""How much memory and how many cores a process may use."""

import os
from pathlib import Path

import pytest

from lfi.devices import cores, memory_size

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
    assert memory_size(written(tmp_path, files)) == expected


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


SHARES = {
    "none": ({}, 8),
    "a container of two": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
    "a container of half a core": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
    "without a limit": ({"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "max 100000\n"}, 8),
    "version 1": (
        {
            "proc/self/cgroup": "2:cpu,cpuacct:/docker/ab\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "250000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        3,
    ),
    "version 1, without a limit": (
        {
            "proc/self/cgroup": "2:cpu:/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        8,
    ),
}


@pytest.mark.parametrize("case", SHARES)
def test_cores_are_those_whose_time_a_container_may_take(case: str, tmp_path: Path, monkeypatch):
    files, expected = SHARES[case]
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert cores(written(tmp_path, files)) == expected
