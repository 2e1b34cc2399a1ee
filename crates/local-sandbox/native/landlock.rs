//! A second lock on files and sockets, where the kernel has Landlock.

use core::ffi::CStr;

use crate::{
    numbers as nr,
    sys::{self, EACCES, ENOENT, O_DIRECTORY, O_PATH, Result},
};

const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const TRUNCATE: u64 = 1 << 14;
const ON_FILES: u64 = WRITE_FILE | READ_FILE | TRUNCATE;
pub(crate) const READ: u64 = READ_FILE | READ_DIR;
/// Remove and make files, folders and links, refer; no devices, sockets or fifos.
pub(crate) const WRITE: u64 =
    READ | WRITE_FILE | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 12 | 1 << 13 | TRUNCATE;

/// The kernel's version of Landlock; 0 without.
#[unsafe(no_mangle)]
pub extern "C" fn jail_landlock_version() -> u32 {
    // SAFETY: asks for a number.
    unsafe { sys::call(nr::LANDLOCK_CREATE_RULESET, [0, 0, 1]) }.unwrap_or(0) as u32
}

/// Locks every file away from this process, for good, and says whether that holds: 1 if so.
#[unsafe(no_mangle)]
pub extern "C" fn jail_landlock_holds() -> u32 {
    const PR_SET_NO_NEW_PRIVS: usize = 38;
    let locked = sys::prctl(PR_SET_NO_NEW_PRIVS, 1)
        .and_then(|_| Rules::new(jail_landlock_version().into()))
        .and_then(Rules::enforce);
    u32::from(locked.is_ok() && sys::open(c"/", O_DIRECTORY, 0) == Err(EACCES))
}

/// What will be left to a process, told bit by bit.
pub(crate) struct Rules {
    descriptor: i32,
    files: u64,
}

impl Rules {
    pub(crate) fn new(version: u64) -> Result<Self> {
        let mut files = (1 << 13) - 1;
        for (since, right) in [(2, 13), (3, 14), (5, 15)] {
            if version >= since {
                files |= 1 << right;
            }
        }
        // All of TCP; abstract sockets and signals to others.
        let network = if version >= 4 { 3 } else { 0 };
        let scopes = if version >= 6 { 3 } else { 0 };
        let attributes: [u64; 3] = [files, network, scopes];
        let size = match version {
            6.. => 24,
            4.. => 16,
            _ => 8,
        };
        // SAFETY: a structure of the size given.
        let made = unsafe {
            sys::call(
                nr::LANDLOCK_CREATE_RULESET,
                [(&raw const attributes) as usize, size, 0],
            )
        };
        Ok(Self {
            descriptor: made? as i32,
            files,
        })
    }

    /// What is not there needs no rule.
    pub(crate) fn allow(&self, path: &CStr, access: u64) -> Result<()> {
        #[repr(C, packed)]
        struct PathBeneath {
            access: u64,
            parent: i32,
        }
        const PATH_BENEATH: usize = 1;
        let (beneath, access) = match sys::open(path, O_PATH | O_DIRECTORY, 0) {
            Ok(folder) => (folder, access),
            Err(ENOENT) => return Ok(()),
            Err(_) => (sys::open(path, O_PATH, 0)?, access & ON_FILES),
        };
        let rule = PathBeneath {
            access: access & self.files,
            parent: beneath,
        };
        let arguments = [
            self.descriptor as usize,
            PATH_BENEATH,
            (&raw const rule) as usize,
            0,
        ];
        // SAFETY: the structure lives through the call.
        let added = unsafe { sys::call(nr::LANDLOCK_ADD_RULE, arguments) };
        sys::close(beneath);
        added.map(drop)
    }

    /// Leaves only what was allowed to this process.
    pub(crate) fn enforce(self) -> Result<()> {
        // SAFETY: plain numbers.
        let enforced = unsafe { sys::call(nr::LANDLOCK_RESTRICT_SELF, [self.descriptor as usize, 0]) };
        sys::close(self.descriptor);
        enforced.map(drop)
    }
}
