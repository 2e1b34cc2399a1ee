//! What the end-to-end tests share: the real binary, a server started from it, a browser to look with.

mod binary;
mod browser;
mod calls;
mod command;
mod packages;
mod server;
mod settings;

pub use binary::{meterbox, repository};
pub use browser::{Browser, NoBrowser};
pub use calls::lose_calls;
pub use command::{Ended, Terminal};
pub use packages::python_packages;
pub use server::Server;

use std::path::PathBuf;

/// A folder of this user's cache that outlives test runs.
///
/// # Panics
/// Where there is no home folder or no room.
pub fn cache_folder(name: &str) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|cache| cache.is_absolute());
    let home = || PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache");
    let folder = cache.unwrap_or_else(home).join("meterbox-tests").join(name);
    std::fs::create_dir_all(&folder).expect("the cache folder can be made");
    folder
}
