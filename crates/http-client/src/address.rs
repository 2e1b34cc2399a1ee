//! Where a service is.

use std::net::IpAddr;

use reqwest::Url;

/// An address cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadAddress {
    /// It cannot be read.
    #[error("is no address; write https://host or http://127.0.0.1:port")]
    NoAddress,
    /// It is one of another protocol.
    #[error("is no http or https address")]
    OtherProtocol,
    /// It holds a user or a password.
    #[error("must not hold a user or password")]
    Credentials,
    /// It holds a query or a fragment.
    #[error("must not hold a query or fragment")]
    Query,
    /// Keys would go over the network for everybody to read.
    #[error("would send the key unencrypted; use https, or http only on this machine")]
    Unencrypted,
}

/// The address of a service that is sent keys. A host without a protocol means https. What is wrong is said without
/// the address, which may hold secrets.
///
/// # Errors
/// [`BadAddress`].
pub fn parse_address(text: &str) -> Result<Url, BadAddress> {
    let text = text.trim();
    let url = match text.contains("://") {
        true => Url::parse(text),
        false => Url::parse(&format!("https://{text}")),
    };
    let url = url.map_err(|_| BadAddress::NoAddress)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(BadAddress::OtherProtocol);
    }
    if !url.has_host() {
        return Err(BadAddress::NoAddress);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BadAddress::Credentials);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(BadAddress::Query);
    }
    if url.scheme() == "http" && !is_on_this_machine(&url) {
        return Err(BadAddress::Unencrypted);
    }
    Ok(url)
}

/// Is it an address of this machine alone?
pub fn is_on_this_machine(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.is_loopback()),
        None => false,
    }
}

/// Host, and port where it is not the protocol's own.
pub fn server_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_host_means_https_and_http_is_for_this_machine() {
        for (text, expected) in [
            ("shop.openai.azure.com", "https://shop.openai.azure.com/"),
            (" shop.openai.azure.com/ ", "https://shop.openai.azure.com/"),
            ("localhost:8080/v1", "https://localhost:8080/v1"),
            ("http://localhost:8080/v1", "http://localhost:8080/v1"),
            ("http://[::1]:11434", "http://[::1]:11434/"),
            ("http://127.0.0.2", "http://127.0.0.2/"),
        ] {
            assert_eq!(parse_address(text).map(String::from).as_deref(), Ok(expected));
        }
        for (text, expected) in [
            ("", BadAddress::NoAddress),
            ("https://", BadAddress::NoAddress),
            ("ftp://host", BadAddress::OtherProtocol),
            ("https://user:word@host", BadAddress::Credentials),
            ("user@host", BadAddress::Credentials),
            ("https://host/?key=s3cr3t", BadAddress::Query),
            ("http://host", BadAddress::Unencrypted),
            ("http://127.0.0.1.host", BadAddress::Unencrypted),
        ] {
            assert_eq!(parse_address(text), Err(expected), "{text:?}");
        }
    }
}
