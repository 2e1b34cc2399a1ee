"""The system calls a program may make: a short list of what analysis code needs, and nothing else. x86-64."""

import ctypes
import errno
import struct

from meterbox_zygote import calls

# The most frequent first: the kernel walks this list on every call.
ALLOWED = {
    "read": 0, "write": 1, "futex": 202, "mmap": 9, "munmap": 11, "madvise": 28, "close": 3, "lseek": 8,
    "openat": 257, "newfstatat": 262, "fstat": 5, "pread64": 17, "pwrite64": 18, "brk": 12, "mprotect": 10,
    "mremap": 25, "stat": 4, "lstat": 6, "access": 21, "faccessat": 269, "faccessat2": 439, "open": 2,
    "statx": 332, "getdents64": 217, "readlink": 89, "readlinkat": 267, "getcwd": 79, "chdir": 80,
    "fchdir": 81, "fcntl": 72, "ioctl": 16, "dup": 32, "dup2": 33, "dup3": 292, "pipe2": 293, "pipe": 22,
    "poll": 7, "ppoll": 271, "select": 23, "pselect6": 270, "epoll_create1": 291, "epoll_ctl": 233,
    "epoll_wait": 232, "epoll_pwait": 281, "eventfd2": 290, "readv": 19, "writev": 20, "preadv": 295,
    "pwritev": 296, "preadv2": 327, "pwritev2": 328, "sendfile": 40, "copy_file_range": 326,
    "fsync": 74, "fdatasync": 75, "sync_file_range": 277, "ftruncate": 77, "truncate": 76,
    "fallocate": 285, "fadvise64": 221, "flock": 73, "rename": 82, "renameat": 264, "renameat2": 316,
    "mkdir": 83, "mkdirat": 258, "rmdir": 84, "unlink": 87, "unlinkat": 263, "link": 86, "linkat": 265,
    "symlink": 88, "symlinkat": 266, "chmod": 90, "fchmod": 91, "fchmodat": 268, "chown": 92, "fchown": 93,
    "lchown": 94, "fchownat": 260, "utimensat": 280, "umask": 95, "statfs": 137, "fstatfs": 138,
    "getpid": 39, "getppid": 110, "gettid": 186, "getuid": 102, "geteuid": 107, "getgid": 104,
    "getegid": 108, "getresuid": 118, "getresgid": 120, "getgroups": 115, "getpgrp": 111, "getpgid": 121,
    "getsid": 124, "uname": 63, "sysinfo": 99, "times": 100, "getrusage": 98, "getrlimit": 97,
    "setrlimit": 160, "getcpu": 309, "sched_getaffinity": 204, "sched_yield": 24, "getpriority": 140,
    "sched_getparam": 143, "sched_getscheduler": 145, "getrandom": 318, "clock_gettime": 228,
    "clock_getres": 229, "clock_nanosleep": 230, "nanosleep": 35, "gettimeofday": 96, "time": 201,
    "alarm": 37, "setitimer": 38, "getitimer": 36, "pause": 34, "rt_sigaction": 13, "rt_sigprocmask": 14,
    "rt_sigreturn": 15, "rt_sigpending": 127, "rt_sigtimedwait": 128, "rt_sigsuspend": 130,
    "sigaltstack": 131, "kill": 62, "tgkill": 234, "wait4": 61, "waitid": 247, "set_robust_list": 273,
    "get_robust_list": 274, "rseq": 334, "set_tid_address": 218, "arch_prctl": 158, "restart_syscall": 219,
    "membarrier": 324, "mincore": 27, "msync": 26, "mlock": 149, "munlock": 150, "get_mempolicy": 239,
    "exit": 60, "exit_group": 231,
}  # fmt: skip
# Looked at more closely below.
CLONE, PRLIMIT64 = 56, 302
# glibc and Python try these first and fall back when the kernel says it has never heard of them.
UNKNOWN = {"clone3": 435, "close_range": 436, "io_uring_setup": 425, "io_uring_enter": 426,
           "io_uring_register": 427, "memfd_create": 319, "openat2": 437}  # fmt: skip

_ARCH_X86_64 = 0xC000003E
_X32 = 0x40000000
_CLONE_THREAD = 0x10000
_CLONE_NEW = 0x7E020080
_SHARED_ANONYMOUS = 0x21
_KILL, _ERRNO, _ALLOW = 0x80000000, 0x50000, 0x7FFF0000
_LOAD, _AND, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_ANY_BIT, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH = 0, 4


def _argument(index, high=False):
    return 16 + 8 * index + (4 if high else 0)


def build():
    """The filter as bytes for the kernel."""
    rows = []

    def add(code, value, if_true=0, if_false=0):
        rows.append((code, if_true, if_false, value))

    def on(number, *block):
        add(_JUMP_EQUAL, number, 0, len(block))
        rows.extend(block)

    allow, deny = (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERRNO | errno.EPERM)

    add(_LOAD, _ARCH)
    add(_JUMP_EQUAL, _ARCH_X86_64, 1, 0)
    add(_RETURN, _KILL)
    add(_LOAD, _NUMBER)
    add(_JUMP_GREATER_EQUAL, _X32, 0, 1)
    add(_RETURN, _KILL)
    # Memory shared with nobody but outside every memory limit.
    shared = (_AND, 0, 0, _SHARED_ANONYMOUS)
    on(ALLOWED["mmap"], (_LOAD, 0, 0, _argument(3)), shared, (_JUMP_EQUAL, 0, 1, _SHARED_ANONYMOUS), deny, allow)
    # Threads, never processes.
    on(CLONE, (_LOAD, 0, 0, _argument(0)), (_JUMP_ANY_BIT, 0, 1, _CLONE_NEW), deny,
       (_JUMP_ANY_BIT, 0, 1, _CLONE_THREAD), allow, deny)  # fmt: skip
    # Its own limits only. Lowering them is harmless, raising is beyond its rights.
    on(PRLIMIT64, (_LOAD, 0, 0, _argument(0)), (_JUMP_EQUAL, 0, 1, 0), allow, deny)
    # What terminals ask, close-on-exec, bytes available; nothing that injects input.
    ioctls = (0x5401, 0x5413, 0x5450, 0x5451, 0x541B, 0x5421)
    on(ALLOWED["ioctl"], (_LOAD, 0, 0, _argument(1)),
       *((_JUMP_EQUAL, len(ioctls) - i, 0, value) for i, value in enumerate(ioctls)), deny, allow)  # fmt: skip
    for name, number in ALLOWED.items():
        if name not in ("mmap", "ioctl"):
            on(number, allow)
    for number in UNKNOWN.values():
        on(number, (_RETURN, 0, 0, _ERRNO | errno.ENOSYS))
    add(_RETURN, _ERRNO | errno.EPERM)
    return b"".join(struct.pack("HBBI", *row) for row in rows), len(rows)


class Filter:
    """The filter, ready to be installed by each child."""

    def __init__(self):
        code, length = build()
        self._code = ctypes.create_string_buffer(code, len(code))
        self._program = struct.pack("HxxxxxxQ", length, ctypes.addressof(self._code))

    def install(self):
        """Binds this process and all its threads. Needs `NO_NEW_PRIVS`."""
        calls.call("seccomp", 1, 0, self._program)
