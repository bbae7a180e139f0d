"""Requests to save and end: SIGTERM and SIGUSR2, noted now and obeyed at the step boundary."""

import signal

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR2)


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
