"""Files that a page saves: their kinds, and those that only a run from its beginning gives."""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable

KINDS = {
    ".png": ("picture (PNG)", "image/png"),
    ".svg": ("drawing (SVG)", "image/svg+xml"),
    ".pdf": ("page (PDF)", "application/pdf"),
    ".gif": ("animation (GIF)", "image/gif"),
    ".mp4": ("film (MP4)", "video/mp4"),
    ".csv": ("table (CSV)", "text/csv"),
    ".html": ("widget without a server (HTML)", "text/html"),
}
LOOKS = 0.5  # seconds between two looks whether a file is still wanted
LONGEST = 600  # seconds: the next one waits for it
_one = threading.Lock()


def kinds() -> list[list[str]]:
    """What can be saved on this machine: [suffix, words]."""
    return [[suffix, words] for suffix, (words, _) in KINDS.items() if suffix != ".mp4" or shutil.which("ffmpeg")]


def recorded(link: str, suffix: str, wanted: Callable[[], bool]) -> bytes | None:
    """The run of a lab's link from its beginning, as a file; None as soon as it is no longer `wanted`.

    By `python -m app export` in a process of its own: it computes for as long as the run takes, and would hold up other visitors here.
    Raises ValueError for what cannot be made, what takes longer than LONGEST, and while another is being made.
    """
    if not _one.acquire(blocking=False):
        raise ValueError("Another animation or widget is being made on this server. Try again in a minute.")
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, f"file{suffix}")
            command = [sys.executable, "-m", "app", "export", f"?{link}", "--out", str(path)]
            home = pathlib.Path(__file__).parent.parent
            end = time.monotonic() + LONGEST
            with subprocess.Popen(command, cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
                while True:
                    try:
                        _, words = process.communicate(timeout=LOOKS)
                        break
                    except subprocess.TimeoutExpired:
                        if not wanted():
                            process.kill()
                            return None
                        if time.monotonic() > end:
                            process.kill()
                            raise ValueError(
                                f"This run takes longer than {LONGEST / 60:g} minutes. Make it smaller, or export its link with python -m app export."
                            ) from None
            if process.returncode:
                raise ValueError(words.strip().rpartition("\n")[2].removeprefix("python -m app: ") or "The file could not be made.")
            return path.read_bytes()
    finally:
        _one.release()
