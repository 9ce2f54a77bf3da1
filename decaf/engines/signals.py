"""Ctrl-C and SIGTERM as a wish: finish what is in flight, then stop."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopWish(threading.Event):
    """An event that knows which signal set it.

    Attributes
    ----------
    reason : str
        The signal's name; empty until it is set.
    """

    reason: str = ""


@contextmanager
def stop_on_signals() -> Iterator[StopWish]:
    """Set an event on the first SIGINT or SIGTERM; a second one acts as it did before.

    Yields
    ------
    StopWish
        Set by nothing where this is not the main thread, which alone may take signals.
    """
    wish = StopWish()
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, _frame: FrameType | None) -> None:
        restore()
        wish.reason = signal.Signals(number).name
        wish.set()

    for number in before:
        signal.signal(number, note)
    try:
        yield wish
    finally:
        restore()
