"""The native part of the jail, from memory."""

import ctypes
import os
import re

from meterbox_zygote import calls

OVER, SEALED, WARMING = 0, 1, 2
_MISMATCH, _UNLOCKED = -1, -2


class Config(ctypes.Structure):
    """The same fields in the same order as on the native side."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "size", "control", "alive_read", "alive_write", "guards_off", "namespaces", "uid", "gid", "landlock",
            "virtual_bytes", "data_bytes", "thread_id", "before_fork", "after_fork_in_child", "first_filter",
            "first_filter_length", "last_filter", "last_filter_length", "readable",
        )
    ]  # fmt: skip


class Jail:
    """Everything that is called in it keeps the interpreter's lock: there is one thread only."""

    def __init__(self, descriptor):
        self._library = ctypes.PyDLL(f"/proc/self/fd/{descriptor}")
        os.close(descriptor)
        self._library.jail_collapse.argtypes = (ctypes.c_size_t, ctypes.c_size_t)
        ctypes.pythonapi.PyObject_SetArenaAllocator(ctypes.byref(ctypes.c_byte.in_dll(self._library, "JAIL_ARENAS")))
        self.landlock = self._library.jail_landlock_version()

    def can_lock_folders(self):
        """Locks all files for this process, for good, and says whether that holds."""
        return self._library.jail_landlock_holds() == 1

    def settle(self):
        """What is in memory now is what every child is born with."""
        self._library.jail_close_arenas()
        with open("/proc/self/maps") as maps:
            private = re.findall(r"(?m)^(\w+)-(\w+) rw-p 00000000 00:00 0 *(?:\[heap\])?$", maps.read())
        for start, end in private:
            self._library.jail_collapse(int(start, 16), int(end, 16))

    def serve(self, **settings):
        """Makes children until the supervisor hangs up; OVER then, and another state in each child."""
        api = ctypes.pythonapi
        readable = b"".join(os.fsencode(path) + b"\0" for path in settings.pop("readable"))
        self._kept = first, last, _ = (*settings.pop("filters"), readable + b"\0")
        addresses = [ctypes.cast(ctypes.c_char_p(kept), ctypes.c_void_p).value for kept in self._kept]
        self._config = Config(
            size=ctypes.sizeof(Config),
            thread_id=_thread_id(),
            before_fork=ctypes.cast(api.PyOS_BeforeFork, ctypes.c_void_p).value,
            after_fork_in_child=ctypes.cast(api.PyOS_AfterFork_Child, ctypes.c_void_p).value,
            first_filter=addresses[0],
            first_filter_length=len(first) // 8,
            last_filter=addresses[1],
            last_filter_length=len(last) // 8,
            readable=addresses[2],
            **settings,
        )
        state = self._library.jail_serve(ctypes.byref(self._config))
        if state == _MISMATCH:
            raise RuntimeError("the jail's two sides do not fit together")
        if state == _UNLOCKED:
            raise RuntimeError("the filter of system calls could not be installed")
        return state

    def seal(self):
        """In a child that was warming up: waits for its job. WARMING again where it is to warm up more before."""
        return self._library.jail_seal(ctypes.byref(self._config))


def _thread_id():
    """Where glibc keeps the id of the only thread; a raw clone has to refresh it, as fork would. 0 where unknown."""
    for address in (_described_to_debuggers(), _told_to_kernel()):
        if address and ctypes.c_int.from_address(address).value == os.getpid():
            return address
    return 0


def _described_to_debuggers():
    libc = ctypes.pythonapi
    try:
        _, _, offset = (ctypes.c_uint32 * 3).in_dll(libc, "_thread_db_pthread_tid")
    except ValueError:
        return None
    libc.pthread_self.restype = ctypes.c_void_p
    return libc.pthread_self() + offset


def _told_to_kernel():
    """The same place in glibc 2.36; in 2.43 it is where the thread's end is waited for."""
    address = ctypes.c_void_p()
    try:
        calls.prctl(calls.PR_GET_TID_ADDRESS, ctypes.byref(address))
    except OSError:
        return None
    return address.value
