//! Our own accept loop: slow clients are dropped, connections are capped, and stopping drains.

use std::{io, sync::Arc, time::Duration};

use axum::Router;
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
            Ok((stream, _)) => {
                let connection = graceful.watch(connection(stream, router.clone()));
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

type Connection = http1::Connection<TokioIo<TcpStream>, TowerToHyperService<Router>>;

fn connection(stream: TcpStream, router: Router) -> Connection {
    // Events are small and should go out at once; without this they only come later.
    let _ = stream.set_nodelay(true);
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
}

fn concerns_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}
