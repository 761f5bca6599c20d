"""What the cases share."""

import time
import unittest
import uuid
from typing import Callable, Optional, TypeVar

from e2b import Sandbox

T = TypeVar("T")


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4()}"


def eventually(what: str, check: Callable[[], Optional[T]], timeout: float = 30) -> T:
    """Polls until check answers something other than None."""
    deadline = time.monotonic() + timeout
    while True:
        value = check()
        if value is not None:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout} s")
        time.sleep(0.1)


class WithSandbox(unittest.TestCase):
    """Cases of a class share one sandbox."""

    sandbox: Sandbox

    @classmethod
    def setUpClass(cls) -> None:
        cls.sandbox = Sandbox.create(timeout=300)
        cls.addClassCleanup(cls.sandbox.kill)
