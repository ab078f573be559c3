"""Ctrl-C and SIGTERM during a training: the run saves and ends after the current step."""

import os
import signal
import socket
import threading

from tfseg.system.progress import say

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Context in which SIGTERM and the first Ctrl-C only set `signal`. A second Ctrl-C ends the process at once.

    A thread watches for the second Ctrl-C, since Python's own handlers wait for the end of a call into TensorFlow, and
    such a call may hang. Outside the main thread, where Python handles no signals, the context does nothing.

    Attributes:
      signal: the signal that came first; None if none came.
    """

    def __init__(self):
        self.signal = None

    def __enter__(self):
        self._previous = {}
        if threading.current_thread() is not threading.main_thread():
            return self
        self._read, self._write = socket.socketpair()
        self._write.setblocking(False)
        self._previous = {one: signal.signal(one, self._note) for one in SIGNALS}
        self._wakeup = signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def __exit__(self, *exception):
        if not self._previous:
            return
        signal.set_wakeup_fd(self._wakeup)
        for one, handler in self._previous.items():
            signal.signal(one, handler)
        self._write.close()
        self._watcher.join()
        self._read.close()

    def _note(self, number, frame):
        self.signal = self.signal or signal.Signals(number)

    def _watch(self):
        """Gets the number of every signal as a byte, when it comes; ends when the context does."""
        num_interrupts = 0
        while received := self._read.recv(64):
            num_interrupts += received.count(signal.SIGINT)
            if num_interrupts > 1:
                say("interrupted")
                os._exit(128 + signal.SIGINT)
            if signal.SIGINT in received:
                say("Ctrl-C: ending after this step, with a checkpoint; once more ends at once, without one")
