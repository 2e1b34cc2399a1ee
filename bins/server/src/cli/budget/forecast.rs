//! How fast money goes, and where that leads.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use meterbox_core::{Scope, Usd};

use super::{Done, Printer, parse_duration, show};
use crate::{
    administration::{
        Administration,
        wire::{ForecastQuery, ForecastView},
    },
    cli::text,
};

#[derive(Debug, Args)]
pub(super) struct ForecastArgs {
    /// Such as user/ana
    scope: Scope,

    /// The rate is what was spent in this time just past [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    last: Option<Duration>,

    /// How far to project [default: to the end of the period]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    horizon: Option<Duration>,

    /// What counts as just now for a spike [default: 15m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    spike_window: Option<Duration>,

    /// The time before it, to compare with [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    spike_baseline: Option<Duration>,

    /// From this multiple of the rate before on it is a spike [default: 3]
    #[arg(long, value_name = "N")]
    spike_factor: Option<u32>,

    /// Less than this is never a spike, in dollars [default: 0.1]
    #[arg(long, value_name = "USD")]
    spike_minimum: Option<Usd>,
}

pub(super) async fn forecast(args: ForecastArgs, target: &dyn Administration, out: Printer) -> Done {
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs());
    let query = ForecastQuery {
        last: seconds(args.last),
        horizon: seconds(args.horizon),
        spike_window: seconds(args.spike_window),
        spike_baseline: seconds(args.spike_baseline),
        spike_factor: args.spike_factor,
        spike_minimum: args.spike_minimum,
    };
    let forecast = target.forecast(&args.scope, query).await?;
    out.print(&forecast, || in_words(&forecast))?;
    let spike = &forecast.spike;
    if spike.is_spike {
        text::note(&format!(
            "Spending just became faster: {} where {} was usual.",
            spike.recent, spike.expected
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn in_words(forecast: &ForecastView) -> String {
    let mut lines = vec![
        show::in_words(&forecast.status),
        format!(
            "Rate      {} an hour ({} since {})",
            forecast.per_hour, forecast.recent, forecast.since
        ),
    ];
    if let (Some(projected), Some(until)) = (forecast.projected, forecast.until) {
        lines.push(format!("Projected {projected} spent by {until}"));
    }
    lines.push(match forecast.limit_reached_at {
        Some(at) => format!("Limit     reached at {at}"),
        None => "Limit     not reached at this rate".to_owned(),
    });
    lines.join("\n")
}
