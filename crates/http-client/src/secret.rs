use std::fmt;

use reqwest::header::HeaderValue;

const MASK: &str = "***";

/// Something nobody may see, such as a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// This text, from now on hidden.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Has it only characters that keys and tokens have, and any at all?
    pub fn is_plausible(&self) -> bool {
        !self.0.is_empty() && self.0.bytes().all(|byte| byte.is_ascii_graphic())
    }

    /// As a header that stays out of logs, with this before it; `None` where no header can hold it.
    pub fn header(&self, prefix: &str) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&[prefix, &self.0].concat()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// The text without the secret: servers repeat what they were sent.
    pub fn masked_in(&self, text: &str) -> String {
        match self.0.is_empty() {
            true => text.to_owned(),
            false => text.replace(&self.0, MASK),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}
