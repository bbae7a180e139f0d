"""Requests to save and end: SIGTERM and SIGUSR2, noted now and obeyed at the step boundary."""

import contextlib
import signal
import subprocess
from collections.abc import Iterator, Sequence

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR2)


@contextlib.contextmanager
def signals_restored() -> Iterator[None]:
    """Leave the handlers of SIGINT and of the stop signals, and the mask, as they were found."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, *STOP_SIGNALS)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def pass_signals_on(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Send each stop signal that this process gets to others, from now on."""

    def pass_on(number: int, _frame: object) -> None:
        for process in processes:
            process.send_signal(number)

    for number in STOP_SIGNALS:
        signal.signal(number, pass_on)


class StopRequest:
    """Whether this process was asked to save and end. Made before anything slow begins."""

    def __init__(self) -> None:
        self.signal_name = ""
        for number in STOP_SIGNALS:
            signal.signal(number, self._note)
        # A launcher starts processes with these blocked, so that none is lost before this line.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    def _note(self, number: int, _frame: object) -> None:
        self.signal_name = signal.Signals(number).name
