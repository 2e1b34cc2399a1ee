use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// For this machine, and of no authority.
const REQUEST: &str = "
[req]
prompt = no
distinguished_name = name
x509_extensions = extensions
[name]
CN = localhost
[extensions]
basicConstraints = critical, CA:FALSE
subjectAltName = DNS:localhost, IP:127.0.0.1
";

/// A certificate for `localhost` and `127.0.0.1` that nobody trusts by itself, and its key: files in this folder, in PEM
/// form.
///
/// # Errors
/// Where there is no `openssl`, or it says no.
pub fn self_signed_certificate(folder: &Path) -> Result<(PathBuf, PathBuf), String> {
    let [request, certificate, key] =
        ["request.cnf", "server.crt", "server.key"].map(|name| folder.join(name));
    fs::write(&request, REQUEST).map_err(|error| error.to_string())?;
    let output = Command::new("openssl")
        .args(["req", "-x509", "-nodes", "-days", "30", "-newkey", "ec"])
        .args(["-pkeyopt", "ec_paramgen_curve:prime256v1", "-config"])
        .arg(&request)
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .map_err(|error| format!("openssl: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    Ok((certificate, key))
}
