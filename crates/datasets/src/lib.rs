//! What data there is: files kept by content hash, typed once, described by a profile.
