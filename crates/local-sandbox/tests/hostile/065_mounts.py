# Mounts over, unmounts what hides the other inputs, changes its root.
# expect: denied
# off: guard seccomp,capabilities,landlock
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
worked = [libc.mount(b"t", b"/tmp", b"tmpfs", 0, None) == 0, libc.umount2(b"/inputs", 2) == 0, libc.chroot(b"/tmp") == 0]
reply("worked" if any(worked) else "denied")
