//! The part of the jail that may not be Python: from the birth of a child to the moment it is sealed.
//!
//! The build script makes a shared library of it, the supervisor hands that to the zygote in memory, and the
//! zygote calls [`serve::jail_serve`], which returns in children only. Between the clone and the last lock nothing
//! here allocates, takes a lock or calls into another library, but for CPython's own hook that follows a fork.
//!
//! It depends on nothing, not even on `std`: a process that has just been cloned is no place for either.
#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]

mod child;
mod config;
mod heap;
mod landlock;
mod numbers;
mod only;
mod serve;
mod sys;
mod text;
mod wire;

#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    sys::exit(125)
}

/// The compiled `core` asks for it by name. Nothing here unwinds.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
