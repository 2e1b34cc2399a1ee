//! The page in a real browser, against the real binary on the shop data.

use std::{io::Write, path::Path};

use meterbox_tests::{Browser, NoBrowser, Server, repository};

#[test]
fn the_page_shows_what_the_service_says() {
    let browser = match Browser::find() {
        Ok(browser) => browser,
        Err(NoBrowser(reason)) => {
            // Past the harness, which keeps what a passing test prints to itself.
            let _ = writeln!(
                std::io::stderr(),
                "The page was not tested in a browser: {reason}"
            );
            return;
        }
    };
    let data_dir = tempfile::tempdir().unwrap();
    let server = Server::start(data_dir.path(), &repository().join("examples/data/shop"));
    let screenshots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
    std::fs::create_dir_all(&screenshots).unwrap();
    let arguments = [&*server.url(), &*screenshots.to_string_lossy()];
    println!("{}", browser.run("page.py", &arguments));
    println!("{}", browser.run("charts.py", &arguments));
}
