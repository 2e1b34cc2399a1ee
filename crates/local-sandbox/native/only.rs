//! What there is once in a process with one thread.

use core::cell::UnsafeCell;

/// Its value belongs to whoever is running, and only one is.
pub(crate) struct Only<T>(UnsafeCell<T>);

// SAFETY: the zygote and its children, until their programs run, have one thread; the zygote checks that.
unsafe impl<T> Sync for Only<T> {}

impl<T> Only<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// # Safety
    /// There may be no other reference to it.
    #[allow(clippy::mut_from_ref, reason = "the caller's promise")]
    pub(crate) unsafe fn borrow(&self) -> &mut T {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.0.get() }
    }
}
