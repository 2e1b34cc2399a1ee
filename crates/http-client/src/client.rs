use std::{env, time::Duration};

use reqwest::{Client, ClientBuilder, NoProxy, Proxy, redirect, retry};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What is meant for this machine stays on it, whatever the environment says.
const THIS_MACHINE: &str = "localhost,127.0.0.0/8,::1";

/// A client that follows no redirects, sends each request once, and gives up on a connection after 10 seconds. The TLS
/// provider of the process has to be installed first.
///
/// It goes through the proxies of the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, less `NO_PROXY`), but not
/// to this machine: what a model or a database on loopback is told leaves it by no proxy.
///
/// # Errors
/// Where TLS cannot be set up, or a proxy of the environment is no address.
pub fn http_client() -> reqwest::Result<Client> {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.trim().is_empty());
    with_proxies(set)?.build()
}

fn with_proxies(set: impl Fn(&str) -> Option<String>) -> reqwest::Result<ClientBuilder> {
    let either = |name: &str| set(name).or_else(|| set(&name.to_ascii_lowercase()));
    let exempt = [either("NO_PROXY").unwrap_or_default().as_str(), THIS_MACHINE].join(",");
    // In a CGI program this one comes from whoever asks, as a header.
    let for_http = either("HTTP_PROXY").filter(|_| set("REQUEST_METHOD").is_none());
    let mut builder = Client::builder()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("meterbox/", env!("CARGO_PKG_VERSION")))
        .no_proxy();
    // The first that fits is taken.
    let named = [
        either("HTTPS_PROXY").map(Proxy::https),
        for_http.map(Proxy::http),
        either("ALL_PROXY").map(Proxy::all),
    ];
    for proxy in named.into_iter().flatten() {
        builder = builder.proxy(proxy?.no_proxy(NoProxy::from_string(&exempt)));
    }
    Ok(builder)
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Answers one request with its own name.
    async fn named(name: &'static str) -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                let length = name.len();
                let reply =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{name}");
                let _ = stream.write_all(reply.as_bytes()).await;
            }
        });
        port
    }

    #[tokio::test]
    async fn proxies_are_for_what_is_elsewhere() {
        // An error means that another test was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (proxy, other_proxy, here) = (named("proxy").await, named("other").await, named("here").await);
        let client = |pairs: Vec<(&'static str, String)>| {
            let set = move |name: &str| Some(pairs.iter().find(|(key, _)| *key == name)?.1.clone());
            let builder = with_proxies(set).expect("proxies");
            let elsewhere = ([127, 0, 0, 1], here).into();
            builder
                .resolve("shop.invalid", elsewhere)
                .build()
                .expect("a client")
        };
        let at = |port: u16| format!("http://127.0.0.1:{port}");
        let http = ("HTTP_PROXY", at(proxy));
        let all = ("ALL_PROXY", at(other_proxy));
        let shop = format!("http://shop.invalid:{here}/");
        for (set, url, expected) in [
            (vec![http.clone(), all.clone()], shop.clone(), "proxy"),
            (vec![("http_proxy", at(proxy))], shop.clone(), "proxy"),
            (vec![all.clone()], shop.clone(), "other"),
            (
                vec![http.clone(), ("NO_PROXY", "shop.invalid".to_owned())],
                shop.clone(),
                "here",
            ),
            (
                vec![http.clone(), ("REQUEST_METHOD", "GET".to_owned())],
                shop.clone(),
                "here",
            ),
            (vec![], shop, "here"),
            (vec![http.clone(), all.clone()], at(here), "here"),
            (vec![http, all], format!("http://localhost:{here}"), "here"),
        ] {
            let reply = client(set.clone()).get(&url).send().await.expect("a reply");
            let said = reply.text().await.expect("a body");
            assert_eq!(said, expected, "{url} with {set:?}");
        }
        assert!(with_proxies(|name| (name == "HTTPS_PROXY").then(|| "::".to_owned())).is_err());
    }
}
