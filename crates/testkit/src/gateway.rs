use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
};

const PREFIX: &str = "/rest/v1";
const LARGEST_HEAD: usize = 64 << 10;
const NO_KEY: &str = r#"{"message":"No API key found in request"}"#;

/// Stands before a PostgREST server as Supabase's gateway does: it wants an API key, and the server lies under
/// `/rest/v1`. Goes with the process.
#[derive(Debug)]
pub(crate) struct Gateway {
    address: SocketAddr,
}

impl Gateway {
    pub(crate) fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                thread::spawn(move || {
                    let _ = pass(client, upstream);
                });
            }
        });
        Self { address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// One request of a connection; the client opens another for the next.
fn pass(mut client: TcpStream, upstream: SocketAddr) -> io::Result<()> {
    let (head, body) = read_head(&mut client)?;
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let headers: Vec<&str> = lines
        .filter(|line| !line.is_empty() && !line.to_ascii_lowercase().starts_with("connection:"))
        .collect();
    if !headers
        .iter()
        .any(|line| line.to_ascii_lowercase().starts_with("apikey: "))
    {
        return refuse(&mut client, 401, NO_KEY);
    }
    let Some((method, path)) = first.split_once(' ').filter(|(_, rest)| rest.starts_with(PREFIX)) else {
        return refuse(
            &mut client,
            404,
            r#"{"message":"no Route matched with those values"}"#,
        );
    };
    let path = path.strip_prefix(PREFIX).unwrap_or(path);
    let mut server = TcpStream::connect(upstream)?;
    let head = format!(
        "{method} {path}\r\n{}\r\nconnection: close\r\n\r\n",
        headers.join("\r\n")
    );
    server.write_all(head.as_bytes())?;
    server.write_all(&body)?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || io::copy(&mut from_client, &mut to_server));
    io::copy(&mut server, &mut client)?;
    client.shutdown(Shutdown::Both)
}

/// The head of a request, and what came with it of the body.
fn read_head(client: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), body));
        }
        let read = client.read(&mut buffer)?;
        if read == 0 || bytes.len() > LARGEST_HEAD {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&buffer[..read]);
    }
}

fn refuse(client: &mut TcpStream, status: u16, body: &str) -> io::Result<()> {
    let reply = format!(
        "HTTP/1.1 {status} No\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    client.write_all(reply.as_bytes())
}
