"""wrk, which posts photos."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

#: Lua: the photos in turns; and at the end, one line of JSON.
_SCRIPT = """
local headers = {["Host"] = "localhost", ["Content-Type"] = "image/jpeg"}
local bodies, turn = {}, 0
for name in io.lines("%s") do
  local file = io.open(name, "rb")
  bodies[#bodies + 1] = wrk.format("POST", "%s", headers, file:read("*a"))
  file:close()
end
function request()
  turn = turn %% #bodies + 1
  return bodies[turn]
end
function done(summary)
  local e = summary.errors
  io.write(string.format('\\n{"requests": %%d, "micros": %%d, "failed": %%d, "refused": %%d}\\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.timeout, e.status))
end
"""


def wrk(
    url: str, photos: Path, connections: int, seconds: int, path: str = "/v1/classify"
) -> tuple[int, float]:
    """How many requests were answered, and how many a second; none may be refused."""
    with tempfile.TemporaryDirectory() as folder:
        names, script = Path(folder, "names"), Path(folder, "post.lua")
        names.write_text("".join(f"{file}\n" for file in sorted(photos.iterdir())))
        script.write_text(_SCRIPT % (names, path))
        words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), url]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.strip().splitlines()[-1])
    if found["failed"] or found["refused"]:
        raise SystemExit(f"wrk: {found}; are fewer connections needed?")
    return found["requests"], found["requests"] * 1e6 / found["micros"]
