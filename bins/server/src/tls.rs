//! The one TLS provider of this process.

use std::sync::Once;

/// Installs ring for everything that speaks TLS. Where somebody chose a provider before, that one is as good.
pub(crate) fn install() {
    static RING: Once = Once::new();
    RING.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}
