//! The page in a real browser, against the real binary on the shop data.

use std::{io::Write, path::Path};

use meterbox_testkit::{MODEL_KEY, ModelAnswer, ModelDouble};
use meterbox_tests::{Browser, NoBrowser, Server, repository};

#[test]
fn the_page_shows_what_the_service_says() {
    let Some(browser) = browser() else { return };
    let data_dir = tempfile::tempdir().unwrap();
    let server = Server::start(data_dir.path(), &repository().join("examples/data/shop"));
    let arguments = [&*server.url(), &*screenshots()];
    println!("{}", browser.run("page.py", &arguments));
    println!("{}", browser.run("charts.py", &arguments));
}

#[test]
fn the_page_shows_what_a_model_was_told_and_wrote() {
    let Some(browser) = browser() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let double = runtime.block_on(ModelDouble::start());
    double.otherwise(|_| {
        let program = "lines = tables['order_lines']\nresult = lines.groupby('product_id', as_index=False)['quantity'].sum().head(6)";
        ModelAnswer::text(format!("Reading: pieces of each product\n```python\n{program}\n```")).using(2_100, 160)
    });
    let address = double.openai_url();
    let settings = [
        ("OPENAI_BASE_URL", &*address),
        ("OPENAI_API_KEY", MODEL_KEY),
        ("OPENAI_MODEL", "gpt-4.1-mini"),
        ("MODEL_ROUTER", "always"),
    ];
    let data_dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(
        data_dir.path(),
        &repository().join("examples/data/shop"),
        &settings,
    );
    println!("{}", browser.run("model.py", &[&*server.url(), &*screenshots()]));
}

fn browser() -> Option<Browser> {
    match Browser::find() {
        Ok(browser) => Some(browser),
        Err(NoBrowser(reason)) => {
            // Past the harness, which keeps what a passing test prints to itself.
            let _ = writeln!(
                std::io::stderr(),
                "The page was not tested in a browser: {reason}"
            );
            None
        }
    }
}

fn screenshots() -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
    std::fs::create_dir_all(&folder).expect("the folder of this build");
    folder.to_string_lossy().into_owned()
}
