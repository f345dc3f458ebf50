//! TLS by rustls with ring: a C compiler builds it in seconds, where the default of reqwest takes minutes.

use std::sync::Once;

/// Chooses ring for every TLS connection of this process. Call before a client is made; later calls do nothing.
pub(super) fn choose_provider() {
    static CHOSEN: Once = Once::new();
    CHOSEN.call_once(|| {
        // Fails only if someone chose already, and then that choice holds.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
