//! Our own accept loop: slow clients are dropped, connections are capped, and stopping drains.

use std::{io, sync::Arc, time::Duration};

use axum::{Extension, Router, middleware::AddExtension};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::Layer;

use crate::http::Peer;

const MAX_CONNECTIONS: usize = 256;
/// A client that has not sent its headers by then is dropped; so is an idle one.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long requests under way may go on once the service stops.
const DRAIN: Duration = Duration::from_secs(10);
const PAUSE_AFTER_ACCEPT_ERROR: Duration = Duration::from_millis(100);

/// Serves until `shutdown`, then lets requests under way end, for ten seconds at most.
pub(crate) async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        // A slot first: beyond the cap, clients wait in the kernel's queue instead of in our memory.
        let next_client = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            () = shutdown.cancelled() => break,
            next = next_client => next,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = graceful.watch(connection(stream, Peer(peer), router.clone()));
                tokio::spawn(async move {
                    if let Err(error) = connection.await {
                        tracing::debug!(%error, "a connection ended early");
                    }
                    drop(slot);
                });
            }
            Err(error) if concerns_one_client(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections now");
                sleep(PAUSE_AFTER_ACCEPT_ERROR).await;
            }
        }
    }
    drop(listener);
    if timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end in time");
    }
}

type Connection = http1::Connection<TokioIo<TcpStream>, TowerToHyperService<AddExtension<Router, Peer>>>;

fn connection(stream: TcpStream, peer: Peer, router: Router) -> Connection {
    // Events are small and should go out at once; without this they only come later.
    let _ = stream.set_nodelay(true);
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(
            TokioIo::new(stream),
            TowerToHyperService::new(Extension(peer).layer(router)),
        )
}

fn concerns_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::Notify,
        task::JoinHandle,
    };

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

    async fn start(router: Router) -> (SocketAddr, CancellationToken, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(serve(listener, router, shutdown.clone()));
        (address, shutdown, server)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stalls_in_its_headers_is_dropped() {
        let (address, _shutdown, _server) = start(Router::new()).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: loc").await.unwrap();
        let mut reply = Vec::new();
        let closed = timeout(2 * HEADER_TIMEOUT, client.read_to_end(&mut reply)).await;
        assert!(closed.is_ok(), "still open after {HEADER_TIMEOUT:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_client_is_dropped() {
        let (address, _shutdown, _server) = start(Router::new().route("/", get(async || "here"))).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(REQUEST).await.unwrap();
        let mut reply = String::new();
        let closed = timeout(3 * HEADER_TIMEOUT, client.read_to_string(&mut reply)).await;
        assert!(closed.is_ok(), "still open");
        assert!(reply.ends_with("here"), "{reply}");
    }

    #[tokio::test]
    async fn stopping_lets_a_request_under_way_end_and_takes_no_more() {
        let begun = Arc::new(Notify::new());
        let go_on = Arc::new(Notify::new());
        let handler = {
            let (begun, go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
            async move || {
                begun.notify_one();
                go_on.notified().await;
                "done"
            }
        };
        let (address, shutdown, server) = start(Router::new().route("/", get(handler))).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(REQUEST).await.unwrap();
        begun.notified().await;

        shutdown.cancel();
        sleep(Duration::from_millis(50)).await;
        assert!(TcpStream::connect(address).await.is_err(), "still taking clients");
        go_on.notify_one();
        let mut reply = String::new();
        client.read_to_string(&mut reply).await.unwrap();
        assert!(reply.ends_with("done"), "{reply}");
        server.await.unwrap();
    }

    #[tokio::test]
    async fn beyond_the_cap_clients_wait_for_a_place() {
        let (address, _shutdown, _server) = start(Router::new().route("/", get(async || "here"))).await;
        let mut idle = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(REQUEST).await.unwrap();
            let mut start_of_reply = [0; 12];
            client.read_exact(&mut start_of_reply).await.unwrap();
            assert_eq!(&start_of_reply, b"HTTP/1.1 200");
            idle.push(client);
        }
        let mut late = TcpStream::connect(address).await.unwrap();
        late.write_all(REQUEST).await.unwrap();
        let mut byte = [0];
        let waited = timeout(Duration::from_millis(200), late.read_exact(&mut byte)).await;
        assert!(waited.is_err(), "one more than the cap was served");
        idle.pop();
        late.read_exact(&mut byte).await.unwrap();
    }
}
