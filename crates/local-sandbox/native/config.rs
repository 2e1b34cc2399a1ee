//! What the zygote tells once, before it makes children.

use core::ffi::{CStr, c_char};

use crate::{sys::Instruction, wire::GUARDS};

/// The same fields in the same order as `Config` in `jail.py`, all of one size.
#[repr(C)]
pub struct Config {
    /// Of this structure, so that a difference between the two sides is noticed.
    size: u64,
    pub(crate) control: u64,
    /// A pipe that has a writer as long as the zygote lives.
    pub(crate) alive_read: u64,
    pub(crate) alive_write: u64,
    /// Bits of [`GUARDS`] to leave out.
    guards_off: u64,
    /// Namespaces for each child; 0 for none.
    pub(crate) namespaces: u64,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    /// Of the kernel; 0 for none.
    pub(crate) landlock: u64,
    /// What every child has from birth, in bytes.
    pub(crate) virtual_bytes: u64,
    pub(crate) data_bytes: u64,
    /// Where glibc keeps the thread's id, or 0.
    pub(crate) thread_id: u64,
    /// CPython's hooks around a fork.
    before_fork: u64,
    after_fork_in_child: u64,
    first_filter: u64,
    first_filter_length: u64,
    last_filter: u64,
    last_filter_length: u64,
    /// What a program may read, each ended by a zero, and an empty one at the end.
    readable: u64,
}

impl Config {
    pub(crate) fn is_whole(&self) -> bool {
        self.size == size_of::<Self>() as u64
    }

    /// Whether a guard is on; an unknown one is.
    pub(crate) fn has(&self, guard: &str) -> bool {
        GUARDS
            .iter()
            .position(|name| *name == guard)
            .is_none_or(|bit| self.guards_off & (1 << bit) == 0)
    }

    /// # Safety
    /// The addresses have to be those of CPython's functions, whose lock this thread holds.
    pub(crate) unsafe fn before_fork(&self) {
        // SAFETY: the caller's promise.
        unsafe { hook(self.before_fork) }
    }

    /// # Safety
    /// As above.
    pub(crate) unsafe fn after_fork_in_child(&self) {
        // SAFETY: the caller's promise.
        unsafe { hook(self.after_fork_in_child) }
    }

    /// The zygote's own, with which its children are born.
    pub(crate) fn first_filter(&self) -> &[Instruction] {
        // SAFETY: the zygote keeps this buffer as long as it lives.
        unsafe { instructions(self.first_filter, self.first_filter_length) }
    }

    /// The last lock of a child.
    pub(crate) fn last_filter(&self) -> &[Instruction] {
        // SAFETY: as above.
        unsafe { instructions(self.last_filter, self.last_filter_length) }
    }

    pub(crate) fn readable(&self) -> impl Iterator<Item = &CStr> {
        let mut next = self.readable as *const c_char;
        core::iter::from_fn(move || {
            // SAFETY: the zygote keeps the list as long as it lives, and the list ends with an empty text.
            let path = unsafe { CStr::from_ptr(next) };
            if path.is_empty() {
                return None;
            }
            // SAFETY: what follows a text within the list is the next one.
            next = unsafe { next.add(path.count_bytes() + 1) };
            Some(path)
        })
    }
}

unsafe fn instructions<'a>(address: u64, length: u64) -> &'a [Instruction] {
    // SAFETY: the caller's promise.
    unsafe { core::slice::from_raw_parts(address as *const Instruction, length as usize) }
}

unsafe fn hook(address: u64) {
    // SAFETY: the caller's promise.
    let hook: extern "C" fn() = unsafe { core::mem::transmute(address as usize) };
    hook();
}
