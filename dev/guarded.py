"""Stopping what this process has started, in whatever way it is ended."""

from __future__ import annotations

import atexit
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Guard:
    """Sees to it that servers which this process starts do not outlive it.

    While it is up, SIGTERM raises `KeyboardInterrupt` like Ctrl-C does (unless a handler was there
    before, or this is not the main thread), so that ``with`` blocks and fixtures are left in order.
    What is still running when the interpreter exits is stopped then. SIGKILL alone gets through.

    :param stop: stops the servers, and does nothing if that is done already.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._guards_sigterm = False

    def up(self) -> None:
        """Guard from now on; call it before the first server is started."""
        atexit.register(self._stop)
        on_main_thread = threading.current_thread() is threading.main_thread()
        if on_main_thread and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            self._guards_sigterm = True

    def down(self) -> None:
        """Guard no more; call it when the last server is stopped."""
        atexit.unregister(self._stop)
        if self._guards_sigterm:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._guards_sigterm = False

    @contextmanager
    def uninterrupted(self) -> Iterator[None]:
        """Hold back Ctrl-C and SIGTERM within the block, and obey them at its end.

        A server must be known as soon as it is there: one that was started, and not noted, would
        not be stopped.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        held: list[int] = []
        before = {
            number: signal.signal(number, lambda number, _: held.append(number))
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler or signal.SIG_DFL)
        for each in held:
            signal.raise_signal(each)

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Stop what the block has started if it fails: an ``__exit__`` is not called then."""
        try:
            yield
        except BaseException:
            self._stop()
            raise
