"""`python -m lfi` is the command `lfi`: what torchrun and accelerate start."""

from __future__ import annotations

import subprocess
import sys


def test_the_module_is_the_command_and_keeps_its_exit_code():
    done = subprocess.run([sys.executable, "-m", "lfi", "trian"], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: lfi ")
    assert "No such command 'trian'" in done.stderr
