"""The zygote's own root: a read-only tree with what Python needs and the input files, and nothing else."""

import errno
import importlib
import os
import stat
import sys

from meterbox_zygote import calls

INPUTS = "/inputs"
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/urandom")
_SYSTEM = ("/usr/lib", "/usr/lib64", "/usr/lib32", "/usr/local/lib", "/lib", "/lib64")
_EXTRAS = ("/etc/ld.so.cache", "/usr/share/zoneinfo")
_OLD = "/old"
_RUNTIME = "/runtime"
# What lies below these on the machine would be covered, here or by a child.
_TAKEN = ("/tmp", "/data", "/scratch", "/hidden", INPUTS, "/proc", "/dev", _OLD, _RUNTIME)


class SetupError(Exception):
    """A step of the set-up failed."""

    def __init__(self, step, cause):
        self.step, self.errno = step, getattr(cause, "errno", None) or 0
        super().__init__(f"{step}: {cause}")


class Step:
    """Names the step that an error came from."""

    def __init__(self, name):
        self._name = name

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        if isinstance(error, (OSError, ValueError)):
            raise SetupError(self._name, error) from error


def enter(settings):
    """Moves this process into the root; as root, it is then the sandbox's own user.

    Returns the folders a program may read.
    """
    was_root = os.geteuid() == 0
    uid, gid = os.geteuid(), os.getegid()
    with Step("namespaces"):
        private = calls.CLONE_NEWNS | calls.CLONE_NEWNET | calls.CLONE_NEWIPC | calls.CLONE_NEWUTS
        calls.call("unshare", private if was_root else private | calls.CLONE_NEWUSER)
    if not was_root:
        with Step("id maps"):
            calls.map_ids(uid, uid, gid)
    with Step("mounts"):
        places = Places(settings["readable"])
        if "own-root" in settings["without"]:
            places.add("/etc")
        readable = _build(settings["inputs"], places)
        places.take_effect()
        settings["font_cache"] = places.of(settings["font_cache"])
    with Step("user"):
        if was_root:
            os.setgroups([])
            os.setresgid(settings["gid"], settings["gid"], settings["gid"])
            os.setresuid(settings["uid"], settings["uid"], settings["uid"])
        calls.drop_capabilities()
        calls.prctl(calls.PR_SET_NO_NEW_PRIVS, 1)
    os.environ["HOME"] = "/tmp"
    return readable


def stay(settings):
    """Leaves this process where it is, on a machine without namespaces; as root, it is then the sandbox's own user.

    Returns what a program may read.
    """
    with Step("user"):
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(settings["gid"], settings["gid"], settings["gid"])
            os.setresuid(settings["uid"], settings["uid"], settings["uid"])
        calls.drop_capabilities()
        calls.prctl(calls.PR_SET_NO_NEW_PRIVS, 1)
    for path in settings["readable"]:
        closed = _closed(os.path.realpath(path))
        if closed is not None:
            raise SetupError("runtime", PermissionError(errno.EACCES, f"{closed} is closed to user {os.getuid()}"))
    os.environ["HOME"] = settings["folder"]
    if "own-root" in settings["without"]:
        return ["/"]
    # What is there and cannot be read is an error to many: DuckDB looks at control groups, others at the types of files.
    machine = ("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu", "/sys/fs/cgroup",
               "/etc/mime.types", "/etc/ssl/openssl.cnf", "/etc/localtime")  # fmt: skip
    return [os.path.realpath(path) for path in (*_SYSTEM, *settings["readable"], *_EXTRAS)] + list(machine)


def _closed(path):
    """What keeps this user from that path, if anything does: below a closed folder nothing can be seen to be there."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return None
    except PermissionError:
        return _closed(os.path.dirname(path)) or os.path.dirname(path)
    return None if os.access(path, os.R_OK) else path


class Places:
    """Where the folders of the runtime are in the root: where they are on the machine, unless that place is taken."""

    def __init__(self, paths):
        self.needed, self.links = {}, {}
        for path in paths:
            self.add(path)

    def add(self, path):
        real = os.path.realpath(path)
        if real not in self.needed:
            outer = next((outer for outer in self.needed if _is_below(real, outer)), None)
            if outer is not None:
                self.needed[real] = self.needed[outer] + real[len(outer) :]
            elif any(_is_below(real, taken) for taken in _TAKEN):
                self.needed[real] = f"{_RUNTIME}/{len(self.needed)}"
            else:
                self.needed[real] = real
        if path != real:
            self.links[path] = self.needed[real]

    def of(self, path):
        """Where that is, which lies in one of the folders or nowhere near them."""
        for outside, inside in (*self.links.items(), *self.needed.items()):
            if _is_below(path, outside):
                return inside + path[len(outside) :]
        return path

    def take_effect(self):
        """Python looks for modules there from now on."""
        for name in ("prefix", "exec_prefix", "base_prefix", "base_exec_prefix", "executable"):
            setattr(sys, name, self.of(getattr(sys, name)))
        searched = [sys.path, *(getattr(module, "__path__", None) for module in list(sys.modules.values()))]
        for paths in searched:
            if isinstance(paths, list):
                paths[:] = map(self.of, paths)
        sys.path_importer_cache.clear()
        importlib.invalidate_caches()


def _is_below(path, folder):
    return path == folder or path.startswith(folder + "/")


def _build(inputs, places):
    calls.mount(None, "/", None, calls.MS_REC | calls.MS_PRIVATE)
    stage = next(path for path in ("/tmp", "/var/tmp", "/mnt", "/run") if os.path.isdir(path))
    calls.mount("root", stage, "tmpfs", calls.MS_NOSUID | calls.MS_NODEV, "size=16m,nr_inodes=4096,mode=755")
    os.chdir(stage)
    os.mkdir(_OLD[1:], 0o755)
    calls.call("pivot_root", b".", _OLD[1:].encode())
    os.chdir("/")

    readable = _runtime(places)
    for device in DEVICES:
        _make_target(device, folder=False)
        # Devices have to stay devices.
        calls.bind(_OLD + device, device, "ro", "nosuid", "noexec")
    _proc()
    os.mkdir(INPUTS, 0o755)
    if inputs is not None:
        calls.bind(_OLD + inputs, INPUTS, "ro", "nosuid", "nodev", "noexec")
    # In the last one a child keeps what it puts over the inputs when it has bound its own.
    for folder in ("/data", "/scratch", "/tmp", "/hidden"):
        os.mkdir(folder, 0o755)
    flags = calls.MS_NOSUID | calls.MS_NODEV
    calls.mount("tmp", "/tmp", "tmpfs", flags, "size=16m,nr_inodes=1024,mode=1777")
    calls.call("umount2", _OLD.encode(), calls.MNT_DETACH)
    os.rmdir(_OLD)
    calls.restrict_mount("/", "ro", "nosuid", "nodev", recursive=False)
    return readable


def _runtime(places):
    readable = []
    for path in (*_SYSTEM, *places.needed, *_EXTRAS):
        place = places.needed.get(path, path)
        if any(_is_below(place, seen) for seen in readable):
            continue
        try:
            mode = os.lstat(_OLD + path).st_mode
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(mode) and path in _SYSTEM:
            # /lib on a system whose libraries all live under /usr.
            os.symlink(os.readlink(_OLD + path), path)
            continue
        _make_target(place, stat.S_ISDIR(mode))
        calls.bind(_OLD + path, place, "ro", "nosuid", "nodev")
        readable.append(place)
    for path, place in places.links.items():
        if not os.path.lexists(path) and not any(_is_below(path, taken) for taken in _TAKEN):
            os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
            os.symlink(place, path)
    return readable


def _make_target(path, folder):
    os.makedirs(path if folder else os.path.dirname(path), 0o755, exist_ok=True)
    if not folder:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))


def _proc():
    """The zygote's view of processes, which every child covers with its own."""
    os.mkdir("/proc", 0o555)
    flags = calls.MS_NOSUID | calls.MS_NODEV | calls.MS_NOEXEC
    try:
        calls.mount("proc", "/proc", "proc", flags)
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        # Only the owner of the process namespace may mount it anew.
        calls.bind(_OLD + "/proc", "/proc", "nosuid", "nodev", "noexec")
