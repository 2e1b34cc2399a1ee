use base64::{Engine as _, prelude::BASE64_STANDARD};
use rcgen::{CertificateParams, KeyPair};

/// A certificate for `localhost` and `127.0.0.1` that nobody trusts by itself, and its key: both in PEM form.
pub(crate) fn self_signed() -> (String, String) {
    let names = ["localhost", "127.0.0.1"].map(str::to_owned);
    let params = CertificateParams::new(names).expect("names of this machine");
    let key = KeyPair::generate().expect("random numbers");
    let certificate = params.self_signed(&key).expect("a certificate");
    (
        pem("CERTIFICATE", certificate.der()),
        pem("PRIVATE KEY", &key.serialize_der()),
    )
}

fn pem(label: &str, bytes: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    // 48 bytes are a line of 64 characters.
    for line in bytes.chunks(48) {
        BASE64_STANDARD.encode_string(line, &mut text);
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}
