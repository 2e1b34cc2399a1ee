//! TLS by rustls. A server's certificate is always checked, by the certificates of the system and one's own.

use std::{
    fs,
    future::Future,
    io,
    net::IpAddr,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use meterbox_core::{StorageError, StorageErrorKind};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use rustls_platform_verifier::Verifier;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::{
    Config, Socket,
    config::{Host, SslMode},
    tls::{ChannelBinding, MakeTlsConnect, TlsConnect},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    Server,
    server::{describe, parse},
};

/// What a URL may say that the client does not know.
#[derive(Debug, Default)]
struct Wishes {
    names_sslmode: bool,
    root_certificate: Option<String>,
}

impl Server {
    /// The server at `postgres://user:password@host:port/database`, over TLS. The certificate is always checked. Without
    /// `sslmode` another machine has to speak TLS, and this machine need not. `sslmode=disable`, `prefer`, `require`,
    /// `verify-ca` and `verify-full` are known, the last three being the same here, and `sslrootcert=FILE` trusts one more
    /// authority, as a managed database has one of its own.
    ///
    /// # Errors
    /// Where the address makes no sense, the certificates cannot be read, or there is no TLS provider in this process.
    pub fn from_url_with_tls(url: &str, keeps: &'static str) -> Result<Self, StorageError> {
        let (url, wishes) = understand(url);
        let mut config = parse(&url, keeps)?;
        if !wishes.names_sslmode {
            config.ssl_mode(usual_mode(&config));
        }
        let server = describe(&config);
        let tls = Tls::new(wishes.root_certificate.as_deref()).map_err(|reason| {
            let message = format!("TLS to {server} cannot be set up: {reason}");
            StorageError::new(StorageErrorKind::Unavailable, message)
        })?;
        Ok(Self::new(config, tls, keeps))
    }
}

/// Takes out of a URL's options what the client would refuse.
fn understand(url: &str) -> (String, Wishes) {
    let mut wishes = Wishes::default();
    let is_url = ["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| url.starts_with(scheme));
    if !is_url {
        let mut pairs = url.split_whitespace();
        wishes.names_sslmode = pairs.any(|pair| pair == "sslmode" || pair.starts_with("sslmode="));
        return (url.to_owned(), wishes);
    }
    // A password may have anything in it.
    let (user, rest) = url.split_at(url.find('@').unwrap_or_default());
    let Some((place, options)) = rest.split_once('?') else {
        return (url.to_owned(), wishes);
    };
    let mut kept = Vec::new();
    for option in options.split('&') {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        wishes.names_sslmode |= name == "sslmode";
        match (name, value) {
            ("sslrootcert", file) => wishes.root_certificate = Some(decoded(file)),
            ("sslmode", "verify-ca" | "verify-full") => kept.push("sslmode=require"),
            _ => kept.push(option),
        }
    }
    (format!("{user}{place}?{}", kept.join("&")), wishes)
}

/// Percent-decoded; what is no escape stays.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escape = after.get(..2).filter(|_| first == b'%');
        let byte = escape.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        rest = if byte.is_some() {
            after.get(2..).unwrap_or_default()
        } else {
            after
        };
        bytes.push(byte.unwrap_or(first));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Where the address names no mode. A `hostaddr` is where connections go, whatever the host is called.
fn usual_mode(config: &Config) -> SslMode {
    let addresses = config.get_hostaddrs();
    let is_here = match addresses {
        [] => config.get_hosts().iter().all(is_here),
        _ => addresses.iter().all(IpAddr::is_loopback),
    };
    if is_here {
        SslMode::Disable
    } else {
        SslMode::Require
    }
}

fn is_here(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()),
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

#[derive(Debug, Clone)]
struct Tls {
    config: Arc<ClientConfig>,
}

impl Tls {
    fn new(root_certificate: Option<&str>) -> Result<Self, String> {
        let provider = CryptoProvider::get_default().ok_or("this process has no TLS provider")?;
        let mut own = Vec::new();
        if let Some(file) = root_certificate {
            own = certificates(Path::new(file))?;
        }
        let verifier = Verifier::new_with_extra_roots(own, Arc::clone(provider));
        let versions =
            ClientConfig::builder_with_provider(Arc::clone(provider)).with_safe_default_protocol_versions();
        let versions = versions.map_err(|error| error.to_string())?;
        let config = match verifier {
            Ok(verifier) => versions
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
                .with_no_client_auth(),
            // A machine without certificates trusts nobody, and can still do without TLS.
            Err(_) => versions
                .with_root_certificates(RootCertStore::empty())
                .with_no_client_auth(),
        };
        Ok(Self {
            config: Arc::new(config),
        })
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let named = |reason: String| format!("sslrootcert {}: {reason}", file.display());
    let pem = fs::read(file).map_err(|error| named(error.to_string()))?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| named(error.to_string()))?;
    if certificates.is_empty() {
        return Err(named("it has no certificate in PEM form".to_owned()));
    }
    Ok(certificates)
}

struct TlsTo {
    connector: TlsConnector,
    /// None for a socket of this machine, over which nobody speaks TLS.
    name: Option<ServerName<'static>>,
}

struct Encrypted(Box<TlsStream<Socket>>);

impl MakeTlsConnect<Socket> for Tls {
    type Stream = Encrypted;
    type TlsConnect = TlsTo;
    type Error = io::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<TlsTo, io::Error> {
        Ok(TlsTo {
            connector: TlsConnector::from(Arc::clone(&self.config)),
            name: ServerName::try_from(domain.to_owned()).ok(),
        })
    }
}

impl TlsConnect<Socket> for TlsTo {
    type Stream = Encrypted;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted>> + Send>>;

    fn connect(self, stream: Socket) -> Self::Future {
        Box::pin(async move {
            let name = self
                .name
                .ok_or_else(|| io::Error::other("the server has no name that a certificate could be for"))?;
            let stream = self.connector.connect(name, stream).await?;
            Ok(Encrypted(Box::new(stream)))
        })
    }
}

impl tokio_postgres::tls::TlsStream for Encrypted {
    /// The certificate is checked, so the server need not prove by the password that it is the one we spoke TLS with.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> SslMode {
        let (url, wishes) = understand(url);
        let config = parse(&url, "a test").unwrap();
        match wishes.names_sslmode {
            true => config.get_ssl_mode(),
            false => usual_mode(&config),
        }
    }

    #[test]
    fn other_machines_have_to_speak_tls_unless_said_otherwise() {
        assert_eq!(mode("postgres://a@db.example.com/x"), SslMode::Require);
        assert_eq!(mode("postgres://a@127.0.0.1/x"), SslMode::Disable);
        assert_eq!(mode("host=/run/postgresql user=a"), SslMode::Disable);
        assert_eq!(
            mode("host=db.example.com user=a sslmode=disable"),
            SslMode::Disable
        );
        // Where it goes counts, and not what it is called.
        for elsewhere in [
            "postgres://a@/x?hostaddr=192.0.2.1",
            "postgres://a@localhost/x?hostaddr=192.0.2.1",
            "host=localhost hostaddr=192.0.2.1 user=a",
            "postgres://a@127.0.0.1,db.example.com/x",
            "host=db.example.com user=a password=x://?sslmode=disable",
        ] {
            assert_eq!(mode(elsewhere), SslMode::Require, "{elsewhere}");
        }
        let here = "postgres://a@db.example.com/x?hostaddr=127.0.0.1";
        assert_eq!(mode(here), SslMode::Disable);
        // A password that reads like an option is none.
        for password in [
            "postgres://a:sslmode=disable@b/x",
            "postgres://a:x?sslmode=disable@b/x",
        ] {
            assert_eq!(mode(password), SslMode::Require, "{password}");
        }
        assert_eq!(
            mode("postgres://a@db.example.com/x?sslmode=disable"),
            SslMode::Disable
        );
        assert_eq!(
            mode("postgres://a@localhost/x?sslmode=verify-full"),
            SslMode::Require
        );
        let (url, wishes) = understand("postgres://a@b/x?sslrootcert=%2Ftmp%2fca%20of%zz&connect_timeout=3");
        assert_eq!(url, "postgres://a@b/x?connect_timeout=3");
        assert_eq!(wishes.root_certificate.as_deref(), Some("/tmp/ca of%zz"));
    }
}
