use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::sleep,
};

/// A server on this machine that misbehaves in one way, and keeps what it heard. It goes with the runtime.
#[derive(Debug)]
pub struct FaultyServer {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

/// What a [`FaultyServer`] does with each connection, once it has read a request.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Manner {
    /// These bytes, and the end of the connection.
    Says(Vec<u8>),
    /// Nothing, for ever.
    Hangs,
    /// A byte of the head a second.
    Drips,
    /// A head of success that promises JSON, and a byte of the body a second.
    DripsBody,
    /// A head of success, and a body without end.
    Floods,
    /// A head that promises a gigabyte of JSON, and as much of it as somebody reads.
    HugeBody,
    /// The end of the connection at once.
    Closes,
}

impl Manner {
    /// This status line without its version, perhaps with headers, and no body.
    pub fn answers(status: &str) -> Self {
        Self::replies(status, "")
    }

    /// The same with a body.
    pub fn replies(status: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        Self::Says([head.as_bytes(), body].concat())
    }

    /// Half of a body, and the end of the connection.
    pub fn cuts_body(status: &str, half: &str) -> Self {
        let length = half.len() * 2;
        Self::Says(format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{half}").into_bytes())
    }
}

impl FaultyServer {
    /// Starts one.
    ///
    /// # Panics
    /// Where there is no free port on loopback.
    pub async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a loopback port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, manner.clone(), Arc::clone(&kept)));
            }
        });
        Self { address, heard }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far, head and body.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(mut stream: TcpStream, manner: Manner, heard: Arc<Mutex<Vec<String>>>) {
    let request = read_request(&mut stream).await;
    heard.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    match manner {
        Manner::Closes => {}
        Manner::Says(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Manner::Hangs => std::future::pending().await,
        Manner::Drips => drip(stream, "HTTP/1.1 200 OK\r\nx-drip: ").await,
        Manner::DripsBody => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n";
            let _ = stream.write_all(head.as_bytes()).await;
            drip(stream, "[").await;
        }
        Manner::Floods => {
            let head =
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
            let _ = stream.write_all(head.as_bytes()).await;
            let chunk = format!("4000\r\n{}\r\n", " ".repeat(0x4000));
            while stream.write_all(chunk.as_bytes()).await.is_ok() {}
        }
        Manner::HugeBody => {
            let head =
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1073741824\r\n\r\n";
            let _ = stream.write_all(head.as_bytes()).await;
            let megabyte = vec![b' '; 1 << 20];
            for _ in 0..1024 {
                if stream.write_all(&megabyte).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn drip(mut stream: TcpStream, begin: &str) {
    for byte in begin.bytes().chain(std::iter::repeat(b' ')) {
        if stream.write_all(&[byte]).await.is_err() {
            return;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Head and body, by its content-length.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).await.unwrap_or(0);
        request.extend_from_slice(&buffer[..read]);
        if request.first().is_some_and(|byte| !byte.is_ascii_alphabetic()) {
            // Not HTTP: perhaps somebody who would like to speak TLS.
            return String::from_utf8_lossy(&request).into_owned();
        }
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            if read == 0 {
                return text;
            }
            continue;
        };
        let length = head.lines().find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length: ")?
                .parse()
                .ok()
        });
        if read == 0 || body.len() >= length.unwrap_or(0_usize) {
            return text;
        }
    }
}
