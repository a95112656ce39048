"""What was freed is the system's again, whatever the allocator thinks it may need once more."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import psutil
from torkd.memory import give_back_freed_memory, keep_little_freed_memory

def resident():
    return psutil.Process().memory_info().rss // 2**20

keep_little_freed_memory()
for _ in range(2):
    blocks = [b"x" * 9_000_000 for _ in range(20)]
    blocks.clear()
print(resident())
texts = [b"x" * 9_000 + bytes([n % 250]) for n in range(20_000)]
kept = texts[::1000]
texts.clear()
give_back_freed_memory()
print(resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is told")
def test_large_and_small_blocks_go_back_to_the_system() -> None:
    told = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    assert all(int(megabytes) < 90 for megabytes in told.stdout.split()), told.stdout
