#![no_main]

#[path = "../../tests/untrusted/checks.rs"]
#[allow(dead_code, reason = "each fuzzer uses its own part")]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::reply(bytes));
