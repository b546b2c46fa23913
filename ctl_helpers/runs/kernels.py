"""Kernels of notebooks and of pages: what they write, and how this process talks to them."""

from __future__ import annotations

import os
import tempfile
import uuid

from traitlets.config import Config

from ctl_helpers.project import keep_tools_in_work_folder

_LONGEST = 70  # of a folder whose name has to fit into a socket's, with that of a file


def prepare_kernels() -> None:
    """Keep kernels from writing into the user's home, and tqdm from asking a page for widgets."""
    keep_tools_in_work_folder()
    os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress not found")


def file_sockets() -> Config:
    """What lets one kernel be talked to by sockets that are files, where the system has them.

    Ports are looked up first and opened by the kernel later, and another kernel that starts
    meanwhile may take one.
    """
    folder = tempfile.gettempdir()
    if os.name != "posix" or len(folder) > _LONGEST:
        return Config()
    # Sockets are named after it; without a name, all kernels would have the same.
    connection = os.path.join(folder, f"ctl-{uuid.uuid4().hex[:12]}.json")
    return Config(KernelManager={"transport": "ipc", "connection_file": connection})
