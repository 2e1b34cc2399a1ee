"""Linux system calls that Python has no function for, for what the zygote does once."""

import ctypes
import os

_libc = ctypes.PyDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long

# Filled with this processor's numbers before anything is called.
NR = {}

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
MNT_DETACH = 2
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x4000000, 0x8000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_GET_TID_ADDRESS, PR_CAP_AMBIENT = 4, 24, 38, 40, 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_MOUNT_ATTR = {"ro": 1, "nosuid": 2, "nodev": 4, "noexec": 8}


def call(name, *arguments):
    """Makes one system call; `OSError` named after the call where it fails."""
    prepared = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    prepared += [ctypes.c_long(0)] * (6 - len(prepared))
    result = _syscall(ctypes.c_long(NR[name]), *prepared)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def prctl(option, *arguments):
    return call("prctl", option, *arguments)


def mount(source, target, kind=None, flags=0, options=None):
    def text(value):
        return None if value is None else os.fsencode(value)

    try:
        call("mount", text(source), text(target), text(kind), flags, text(options))
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror} (mounting {kind or source} on {target})") from None


def restrict_mount(target, *attributes, recursive=True):
    """Adds attributes to a mount; unlike a remount it cannot drop one that was there."""
    added = sum(_MOUNT_ATTR[a] for a in attributes)
    values = (ctypes.c_uint64 * 4)(added, 0, 0, 0)
    flags = _AT_RECURSIVE if recursive else 0
    call("mount_setattr", _AT_FDCWD, os.fsencode(target), flags, ctypes.byref(values), 32)


def bind(source, target, *attributes):
    # Recursive: in a user namespace, a tree with other mounts in it can only be bound whole.
    mount(source, target, None, MS_BIND | MS_REC)
    restrict_mount(target, *attributes)


def drop_capabilities():
    """Gives up every capability, for good."""
    for capability in range(64):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:
            # EINVAL: past the kernel's last capability. EPERM: none left to drop with.
            break
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    none = (ctypes.c_uint32 * 6)()
    call("capset", ctypes.byref(header), ctypes.byref(none))


def write_file(path, text):
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def map_ids(inner, uid, gid):
    """Maps one user and one group into this process's new user namespace."""
    write_file("/proc/self/setgroups", "deny")
    write_file("/proc/self/uid_map", f"{inner} {uid} 1")
    write_file("/proc/self/gid_map", f"{inner} {gid} 1")
