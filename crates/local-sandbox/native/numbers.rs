//! The numbers of the system calls made here. A zygote may make them all, a program those that are on its own list too. A
//! test holds them against an independent list.

macro_rules! numbers {
    ($($name:ident: $x86_64:literal, $aarch64:literal;)*) => {
        $(#[cfg(target_arch = "x86_64")] pub const $name: usize = $x86_64;
        #[cfg(target_arch = "aarch64")] pub const $name: usize = $aarch64;)*
        /// Each with its numbers on x86-64 and on aarch64.
        #[allow(dead_code, reason = "the other side's")]
        pub const ALL: &[(&str, usize, usize)] = &[$((stringify!($name), $x86_64, $aarch64)),*];
    };
}

numbers! {
    READ: 0, 63;
    WRITE: 1, 64;
    CLOSE: 3, 57;
    LSEEK: 8, 62;
    MMAP: 9, 222;
    MUNMAP: 11, 215;
    MADVISE: 28, 233;
    SENDMSG: 46, 211;
    RECVMSG: 47, 212;
    GETPID: 39, 172;
    CLONE: 56, 220;
    WAIT4: 61, 260;
    FCNTL: 72, 25;
    CHDIR: 80, 49;
    SETPGID: 109, 154;
    CAPSET: 126, 91;
    GETPRIORITY: 140, 141;
    SETPRIORITY: 141, 140;
    PRCTL: 157, 167;
    MOUNT: 165, 40;
    CLOCK_GETTIME: 228, 113;
    EXIT_GROUP: 231, 94;
    OPENAT: 257, 56;
    MKDIRAT: 258, 34;
    FACCESSAT: 269, 48;
    PPOLL: 271, 73;
    UNSHARE: 272, 97;
    DUP3: 292, 24;
    PIPE2: 293, 59;
    PRLIMIT64: 302, 261;
    SCHED_SETATTR: 314, 274;
    SECCOMP: 317, 277;
    CLONE3: 435, 435;
    CLOSE_RANGE: 436, 436;
    MOUNT_SETATTR: 442, 442;
    LANDLOCK_CREATE_RULESET: 444, 444;
    LANDLOCK_ADD_RULE: 445, 445;
    LANDLOCK_RESTRICT_SELF: 446, 446;
}
