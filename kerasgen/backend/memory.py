"""Memory that is freed and soon wanted again, which the C library need not give back to the system meanwhile."""

import ctypes
import os
import sys

# Options of mallopt(3), in glibc's malloc.h: what is free at the top of the heap beyond the first is given back; blocks
# from the second on are mapped one by one; how many heaps there are, of which only the first can hold large blocks.
TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8


def keep_freed_memory() -> None:
    """Lets glibc's allocator keep large blocks, of which each step of training frees and wants the same.

    By default it gives them back, and the system clears each of their pages when it is touched anew: 171,000 pages in a
    step of a small U-Net on JAX. TensorFlow has an allocator of its own. What a user says by the environment variables
    MALLOC_... or GLIBC_TUNABLES stands, and other C libraries are left alone.
    """
    if sys.platform != "linux" or any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        for option, value in ((TRIM_THRESHOLD, 2**31 - 1), (MMAP_THRESHOLD, 2**30), (ARENA_MAX, 1)):
            library.mallopt(option, value)
