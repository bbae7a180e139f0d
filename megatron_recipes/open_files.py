"""How many files this process may have open."""

import resource

ENOUGH = 1 << 16
"""For 16,000 parts; a greater limit has programs that close all they may have open take long."""


def allow_open_files() -> None:
    """Let this process, and those it starts, have `ENOUGH` files open, or what the system permits.

    A part of a blend takes three, and four with its mask, as long as a training lasts. Most
    systems allow 1,024 unless they are asked, which 250 parts use up.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(ENOUGH, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
