//! May this dependency be called now? Keyed circuit breakers with drop-safe permits.
