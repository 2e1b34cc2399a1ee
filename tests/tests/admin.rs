//! The administrator's page in a real browser, against the real binary; and the API's description, read by others.

use std::{fs, io::Write, path::Path, process::Command};

use meterbox_tests::{Browser, NoBrowser, Server, python_packages, repository};

/// Past the harness, which keeps what a passing test prints to itself.
fn left_out(what: &str, reason: &str) {
    let _ = writeln!(std::io::stderr(), "{what}: {reason}");
}

#[test]
fn the_administrators_page_does_what_it_says() {
    let browser = match Browser::find() {
        Ok(browser) => browser,
        Err(NoBrowser(reason)) => return left_out("The page was not tested in a browser", &reason),
    };
    let data_dir = tempfile::tempdir().expect("a temporary folder can be made");
    let server = Server::start(data_dir.path(), &repository().join("examples/data/shop"));
    let screenshots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
    fs::create_dir_all(&screenshots).expect("the target folder is writable");
    let arguments = [&*server.url(), &*screenshots.to_string_lossy()];
    println!("{}", browser.run("admin.py", &arguments));
}

/// Another implementation of the specification finds nothing wrong with the document.
#[test]
fn the_openapi_document_is_one() {
    let requirements = repository().join("tests/openapi/requirements.txt");
    let packages = match python_packages("openapi", &requirements) {
        Ok(packages) => packages,
        Err(reason) if std::env::var("METERBOX_REQUIRE_PEERS").as_deref() == Ok("1") => panic!("{reason}"),
        Err(reason) => return left_out("The OpenAPI document was not checked", &reason),
    };
    let checked = Command::new("python3")
        .args(["-m", "openapi_spec_validator", "--schema", "3.1.0"])
        .arg(repository().join("bins/server/openapi.json"))
        .env("PYTHONPATH", packages)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("python3 can be started");
    let said =
        String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}");
}
