//! The TLS end of a server, in front of a double that speaks plainly.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What a [`TlsFront`] shows whoever connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsCertificate {
    /// For `localhost`, by the front's own authority, valid.
    Good,
    /// For `localhost`, by nobody but itself.
    SelfSigned,
    /// For `localhost`, by the front's own authority, no longer valid.
    Expired,
    /// For another host, by the front's own authority, valid.
    OfAnotherHost,
    /// For `localhost`, by an authority that nobody knows, valid.
    OfAnotherAuthority,
}

/// TLS in front of a plain server; gone when it is dropped.
#[derive(Debug)]
pub struct TlsFront {
    address: SocketAddr,
    authority: Vec<u8>,
    requests: Arc<AtomicU32>,
    server: tokio::task::JoinHandle<()>,
}

impl TlsFront {
    /// Passes on to this address (`http://127.0.0.1:port`) what comes by TLS.
    ///
    /// # Panics
    /// Where the address is none, or there is no free port.
    pub async fn start(plain: &str, certificate: TlsCertificate) -> Self {
        let plain: SocketAddr = plain
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .parse()
            .expect("an address and a port");
        let authority = authority("Tests of Meterbox");
        let (chain, key) = issued(certificate, &authority);
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring knows TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("the key is the certificate's");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let requests = Arc::<AtomicU32>::default();
        let served = serve(
            listener,
            TlsAcceptor::from(Arc::new(config)),
            plain,
            Arc::clone(&requests),
        );
        Self {
            address,
            authority: authority.der().to_vec(),
            requests,
            server: tokio::spawn(served),
        }
    }

    /// Its address, by the name that a good certificate is for.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// The certificate (DER) of its own authority, for a client to trust.
    pub fn authority(&self) -> &[u8] {
        &self.authority
    }

    /// How many clients accepted its certificate and said something.
    pub fn accepted(&self) -> u32 {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, plain: SocketAddr, requests: Arc<AtomicU32>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, requests) = (tls.clone(), Arc::clone(&requests));
        tokio::spawn(async move {
            // A client that does not like the certificate goes away.
            let Ok(mut stream) = tls.accept(stream).await else {
                return;
            };
            requests.fetch_add(1, Ordering::SeqCst);
            let Ok(mut behind) = TcpStream::connect(plain).await else {
                return;
            };
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut behind).await;
        });
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name.to_owned());
    CertifiedIssuer::self_signed(params, key()).expect("a certificate")
}

fn issued(
    certificate: TlsCertificate,
    authority_of_its_own: &CertifiedIssuer<'_, KeyPair>,
) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let host = match certificate {
        TlsCertificate::OfAnotherHost => "example.org",
        _ => "localhost",
    };
    let mut params = CertificateParams::new(vec![host.to_owned()]).expect("a host name");
    if certificate == TlsCertificate::Expired {
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
    }
    let key = key();
    let issued = match certificate {
        TlsCertificate::SelfSigned => params.self_signed(&key),
        TlsCertificate::OfAnotherAuthority => params.signed_by(&key, &authority("Somebody")),
        _ => params.signed_by(&key, authority_of_its_own),
    };
    let chain = vec![issued.expect("a certificate").der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    (chain, key)
}

fn key() -> KeyPair {
    KeyPair::generate().expect("random numbers")
}
