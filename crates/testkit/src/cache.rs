//! Where what tests install stays, and what becomes of a test whose peer cannot be had.

#[cfg(any(feature = "peers", feature = "postgrest"))]
use std::path::PathBuf;
use std::{env, io::Write};

const REQUIRE: &str = "METERBOX_REQUIRE_PEERS";

/// The peer, or `None` where it cannot be had: which is said past the test harness, and a panic where
/// `METERBOX_REQUIRE_PEERS=1`.
pub(crate) fn required<T>(name: &str, peer: Result<T, String>) -> Option<T> {
    match peer {
        Ok(peer) => Some(peer),
        Err(reason) => {
            assert!(
                env::var(REQUIRE).as_deref() != Ok("1"),
                "{REQUIRE}=1, but {name} cannot be had: {reason}"
            );
            skipped(name, &reason);
            None
        }
    }
}

/// The harness keeps what a test that passes prints to itself, but not this.
pub(crate) fn skipped(name: &str, reason: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED, a test of {name}: {reason}");
}

/// The user's cache folder.
#[cfg(any(feature = "peers", feature = "postgrest"))]
pub(crate) fn cache_folder() -> PathBuf {
    let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    cache.expect("XDG_CACHE_HOME or HOME says where tests keep what they install")
}

#[cfg(any(feature = "peers", feature = "postgrest"))]
pub(crate) fn set(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// FNV-1a: to tell locks apart, not to trust them.
#[cfg(feature = "peers")]
pub(crate) fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
