//! Paths and options put together in a fixed space.

use core::ffi::CStr;

/// A text that ends with a zero. What does not fit makes it [`Text::whole`] no more.
pub(crate) struct Text {
    bytes: [u8; 1024 * 4],
    length: usize,
    overflowed: bool,
}

impl Text {
    pub(crate) fn new() -> Self {
        Self {
            bytes: [0; 1024 * 4],
            length: 0,
            overflowed: false,
        }
    }

    pub(crate) fn of(parts: &[&[u8]]) -> Self {
        let mut text = Self::new();
        for part in parts {
            text.push(part);
        }
        text
    }

    pub(crate) fn push(&mut self, part: &[u8]) {
        let end = self.length + part.len();
        // One byte is left for the zero.
        match self.bytes[..1024 * 4 - 1].get_mut(self.length..end) {
            Some(space) => {
                space.copy_from_slice(part);
                self.length = end;
            }
            None => self.overflowed = true,
        }
    }

    pub(crate) fn push_number(&mut self, mut number: u64) {
        let mut digits = [0; 20];
        let mut first = digits.len();
        loop {
            first -= 1;
            digits[first] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.push(&digits[first..]);
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// With its zero; where it is none, the path of nothing.
    pub(crate) fn path(&self) -> &CStr {
        self.whole().unwrap_or(c"")
    }

    /// With its zero; `None` where it did not fit or has a zero within.
    pub(crate) fn whole(&self) -> Option<&CStr> {
        if self.overflowed {
            return None;
        }
        CStr::from_bytes_with_nul(&self.bytes[..=self.length]).ok()
    }
}
