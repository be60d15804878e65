"""A headless Chromium, driven through its DevTools pipe: no driver, no port, no package."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Self

#: Debian's names, the smallest first, then others'.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)

_DEADLINE_S = 60


class Look(NamedTuple):
    """A screen, in the pixels of CSS, and what its owner likes."""

    width: int = 1280
    height: int = 900
    scale: float = 1
    dark: bool = False
    touch: bool = False


_DESK = Look()


class Chromium:
    """One browser; ``open`` gives a tab. Use as a context manager."""

    def __init__(self, profile: Path) -> None:
        commands, self._out = (_high(end) for end in os.pipe())
        self._in, answers = (_high(end) for end in os.pipe())
        # It reads commands from descriptor 3 and answers on 4.
        shell = f'exec "$@" 3<&{commands} 4>&{answers}'
        flags = [
            *("--headless", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu"),
            *("--disable-dev-shm-usage", "--disable-background-networking"),
            # As with a mouse, which a machine without a screen seldom has.
            "--blink-settings=primaryHoverType=2,availableHoverTypes=2",
            f"--user-data-dir={profile}",
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
        ]
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "bash", str(CHROMIUM), *flags, "about:blank"],
            pass_fds=(commands, answers),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self._buffer = b""
        self._last_id = 0
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(AssertionError, OSError):
            self.call("Browser.close")
        self._process.wait(_DEADLINE_S)
        os.close(self._in)
        os.close(self._out)

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Send one command and wait for its answer; events that come first are kept."""
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self.receive()).get("id") != self._last_id:
            self.events.append(answer)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def wait_for(self, method: str, session: str, since: int = 0) -> None:
        """Until such an event comes, or has come already: from ``events[since]`` on."""
        fresh = iter(self.events[since:])
        while True:
            event = next(fresh, None)
            if event is None:
                event = self.receive()
                self.events.append(event)
            if event.get("method") == method and event.get("sessionId") == session:
                return

    def receive(self) -> dict[str, Any]:
        """The next message, an answer or an event."""
        deadline = time.monotonic() + _DEADLINE_S
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0, deadline - time.monotonic()))
            assert ready, "Chromium doesn't answer"
            chunk = os.read(self._in, 1 << 20)
            assert chunk, "Chromium has ended"
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    def open(
        self, page: Path | str, look: Look = _DESK, *, lang: str | None = None, trace: bool = True
    ) -> Tab:
        """A new tab that has loaded and painted ``page``, a file or a URL.

        ``lang`` is what the browser prefers. ``trace`` keeps its requests, which takes time
        where many images are inside the page.
        """
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = Tab(self, session, page if isinstance(page, str) else page.as_uri())
        for domain in ["Page", "Runtime", "Log", *(["Network"] if trace else [])]:
            tab.call(f"{domain}.enable")
        if lang is not None:
            agent = self.call("Browser.getVersion")["userAgent"]
            tab.call("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage=lang)
        tab.look(look)
        tab.load()
        return tab


class Tab:
    """One page; ``seconds`` is what it took from the request to its first painted frame."""

    def __init__(self, browser: Chromium, session: str, url: str) -> None:
        self._browser, self.session, self.url = browser, session, url
        self.seconds = 0.0

    def look(self, look: Look) -> None:
        size = {"width": look.width, "height": look.height, "deviceScaleFactor": look.scale}
        self.call("Emulation.setDeviceMetricsOverride", **size, mobile=look.touch)
        self.call("Emulation.setTouchEmulationEnabled", enabled=look.touch)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if look.dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def choose(self, selector: str, *files: Path) -> None:
        """What happens when a person chooses files in a dialogue."""
        found = f"document.querySelector({json.dumps(selector)})"
        thing = self.call("Runtime.evaluate", expression=found)["result"]["objectId"]
        self.call("DOM.setFileInputFiles", objectId=thing, files=list(map(str, files)))

    def load(self, go: Callable[[], object] | None = None) -> None:
        """Go to ``url``, or wherever ``go`` leads, until it is painted."""
        started = time.perf_counter()
        since = len(self._browser.events)
        if go is None:
            self.call("Page.navigate", url=self.url)
        else:
            go()
        self._browser.wait_for("Page.loadEventFired", self.session, since)
        # The second frame begins when the first has been painted.
        frames = "requestAnimationFrame(() => requestAnimationFrame(done))"
        self.evaluate(f"new Promise((done) => {frames})")
        self.seconds = time.perf_counter() - started

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.call(method, self.session, **parameters)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, or of the promise that it is."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        code = {"Tab": 9, "Enter": 13}[key]
        names = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **names, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **names)

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        data = self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    @property
    def complaints(self) -> list[dict[str, Any]]:
        """Errors, warnings and whatever else the page put on the console."""
        kinds = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [event["params"] for kind in kinds for event in self._events(kind)]

    @property
    def requests(self) -> list[str]:
        """URLs that were asked for, but for images inside the page and what its policy blocked."""
        sent = [event["params"] for event in self._events("Network.requestWillBeSent")]
        failed = [event["params"] for event in self._events("Network.loadingFailed")]
        blocked = {one["requestId"] for one in failed if one.get("blockedReason") == "csp"}
        urls = [one["request"]["url"] for one in sent if one["requestId"] not in blocked]
        return [url for url in urls if not url.startswith("data:")]

    def _events(self, method: str) -> list[dict[str, Any]]:
        return [
            event
            for event in self._browser.events
            if event.get("method") == method and event.get("sessionId") == self.session
        ]


def _high(descriptor: int) -> int:
    """The same, but above those that the shell moves it to."""
    import fcntl  # not on Windows

    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return moved
