"""A second lock on files and sockets, where the kernel has Landlock."""

import ctypes
import os
import stat
import struct

from meterbox_zygote import calls

_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_FILE_ACCESS = (1 << 1) | _READ_FILE | (1 << 14)
_READ = _READ_FILE | _READ_DIR
# Write files, remove and make files, folders and links, refer, truncate; no devices, sockets or fifos.
_WRITE = _READ | (1 << 1) | (1 << 4) | (1 << 5) | (1 << 7) | (1 << 8) | (1 << 12) | (1 << 13) | (1 << 14)


def abi():
    """The kernel's Landlock version; 0 without."""
    try:
        return calls.call("landlock_create_ruleset", None, 0, 1)
    except OSError:
        return 0


class Rules:
    """What will be left to a process, told bit by bit. Without Landlock it does nothing."""

    def __init__(self, version):
        self._rules = None
        if version == 0:
            return
        files = (1 << 13) - 1
        files |= (1 << 13) if version >= 2 else 0
        files |= (1 << 14) if version >= 3 else 0
        files |= (1 << 15) if version >= 5 else 0
        network = 3 if version >= 4 else 0
        scopes = 3 if version >= 6 else 0
        size = 24 if version >= 6 else 16 if version >= 4 else 8
        self._files = files
        self._rules = calls.call("landlock_create_ruleset", struct.pack("QQQ", files, network, scopes), size, 0)

    def allow(self, readable, writable):
        if self._rules is None:
            return
        for paths, access in ((readable, _READ), (writable, _WRITE)):
            for path in paths:
                _allow(self._rules, path, access & self._files)

    def enforce(self):
        """Leaves only what was allowed to this process."""
        if self._rules is None:
            return
        calls.call("landlock_restrict_self", self._rules, 0)
        os.close(self._rules)


def _allow(rules, path, access):
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(beneath).st_mode):
            access &= _FILE_ACCESS
        calls.call("landlock_add_rule", rules, 1, struct.pack("=Qi", access, beneath), 0)
    finally:
        os.close(beneath)
