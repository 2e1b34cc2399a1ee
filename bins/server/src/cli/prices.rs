//! `meterbox prices`: the price book in force.

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;
use meterbox_core::{Clock, SystemClock, Timestamp};
use meterbox_price_book::{Component, PriceBook, PriceError, Terms};

use super::{exit, table, text};
use crate::settings::Settings;

/// A price of a million tokens.
const COMPONENTS: [(Component, &str); 5] = [
    (Component::Input, "Input"),
    (Component::Cached, "Cached"),
    (Component::CacheWrite, "Cache write"),
    (Component::Output, "Output"),
    (Component::Reasoning, "Reasoning"),
];

#[derive(Debug, Subcommand)]
pub(super) enum PricesCommand {
    /// The models whose names have this in them, and what a million tokens cost now
    List {
        /// Such as openai/ or mini [default: all]
        part: Option<String>,
    },
    /// Check a price book of your own: TOML or JSON
    Check {
        /// The file
        book: PathBuf,
    },
}

pub(super) fn prices(command: PricesCommand, settings: &Settings) -> ExitCode {
    let now = SystemClock::default().now();
    match command {
        PricesCommand::List { part } => {
            list(&settings.config.prices, part.as_deref().unwrap_or_default(), now)
        }
        PricesCommand::Check { book } => match PriceBook::open(&book) {
            Ok(own) => {
                let models = own.models().count();
                text::say(&format!(
                    "{models} models and {} units; fingerprint {}",
                    own.units().count(),
                    own.short_fingerprint()
                ));
                ExitCode::SUCCESS
            }
            Err(error) => exit::usage(&error.to_string()),
        },
    }
}

fn list(book: &PriceBook, part: &str, now: Timestamp) -> ExitCode {
    let wanted = part.to_ascii_lowercase();
    let names = book
        .models()
        .filter(|name| name.to_ascii_lowercase().contains(&wanted));
    let rows: Vec<Vec<String>> = names.filter_map(|name| row(book, name, now).ok()).collect();
    let units: Vec<Vec<String>> = book
        .units()
        .filter(|name| name.contains(&wanted))
        .filter_map(|name| {
            let million = book.unit(name, now).ok()?.price.times(1_000_000)?;
            Some(vec![name.to_owned(), million.to_string()])
        })
        .collect();
    text::note(&format!(
        "{}, fingerprint {}",
        book.name(),
        book.short_fingerprint()
    ));
    if rows.is_empty() && units.is_empty() {
        return exit::usage(&format!("no name in the price book has {part:?} in it"));
    }
    if !rows.is_empty() {
        let mut header = vec!["Model"];
        header.extend(COMPONENTS.map(|(_, title)| title));
        text::say(&table::grid(&header, &header[1..], rows));
    }
    if !units.is_empty() {
        text::say(&table::grid(&["Unit", "Price"], &["Price"], units));
    }
    ExitCode::SUCCESS
}

fn row(book: &PriceBook, name: &str, now: Timestamp) -> Result<Vec<String>, PriceError> {
    let model = book.model(name, now)?;
    let mut row = vec![name.to_owned()];
    for (component, _) in COMPONENTS {
        row.push(model.per_million(component, 1, &Terms::default())?.to_string());
    }
    Ok(row)
}
