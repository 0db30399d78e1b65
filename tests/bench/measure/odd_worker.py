"""The worker with a faulty engine; the name of the artifact's folder selects the fault."""

from __future__ import annotations

import os
import signal
import sys
import time

import numpy as np

from qasr import runtimes
from qasr.bench.measure import worker

SLEEP_SECONDS = 0.05
LEAK_BYTES = 4_000_000

load = runtimes.load_engine


class OddEngine:
    def __init__(self, engine, kind):
        self.engine, self.kind = engine, kind
        self.calls = 0
        self.leaked = []

    def infer(self, features, lengths):
        self.calls += 1
        logits = self.engine.infer(features, lengths)
        if self.kind == "sleeps":
            time.sleep(SLEEP_SECONDS)
        elif self.kind == "leaks":
            self.leaked.append(np.ones(LEAK_BYTES, np.uint8))
        elif self.kind == "lies" or (self.kind == "cheats" and self.calls > 5):
            # Letters are permuted; the blank is kept.
            logits = logits | {"letters": logits["letters"][..., [0, 3, 1, 2]]}
        elif self.kind == "mute":
            logits = {level: np.where(np.arange(value.shape[-1]) == 0, 99.0, value) for level, value in logits.items()}
        elif self.kind == "dies" and self.calls == 3:
            os.kill(os.getpid(), signal.SIGSEGV)
        elif self.kind == "exits" and self.calls == 3:
            sys.stderr.write("the driver went away\n")
            sys.stderr.flush()
            os._exit(3)
        elif self.kind == "raises" and self.calls == 3:
            raise ZeroDivisionError("by nothing")
        elif self.kind == "hangs" and self.calls == 3:
            time.sleep(1_000)
        elif self.kind == "chatters":
            sys.stdout.write('{"type": "Ended"}\n')
            sys.stdout.flush()
        return logits

    def kernels(self):
        return {}

    def close(self):
        self.engine.close()
        if self.kind == "crashes-at-the-end":
            os._exit(7)


def load_odd(artifact, options):
    if artifact.folder.name == "dies-loading":
        os._exit(9)
    return OddEngine(load(artifact, options), artifact.folder.name)


if __name__ == "__main__":
    # The worker looks the function up when it loads the artifact.
    runtimes.load_engine = load_odd
    worker.main()
