"""Mount points below a folder, which the kubelet and containerd leave behind when killed."""

import re
import subprocess
from pathlib import Path


def below(folder: Path) -> list[Path]:
    """Every mount point at or below a folder, the latest mount first."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        # Spaces and the like are written as octal escapes.
        point = Path(re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), line.split()[4]))
        if point == folder or folder in point.parents:
            found.append(point)
    return found[::-1]


def unmount(folder: Path) -> None:
    """Unmount all mount points of a folder; lazily if they are busy, as their users are dead."""
    for point in below(folder):
        done = subprocess.run(["umount", point], capture_output=True, check=False)
        if done.returncode:
            subprocess.run(["umount", "--lazy", point], capture_output=True, check=False)
