//! One row of a model's prices, and which row a call is priced by.

use std::fmt;

use meterbox_core::{UnitPrice, Usd};

/// How a call is served, as far as its price depends on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Terms {
    /// The service tier, such as `flex`, `priority` or `batch`, best from the reply; none for the ordinary one, which
    /// `auto`, `default` and `standard` stand for as well.
    pub tier: Option<String>,
    /// Where it is processed: `data_zone`, `data_zone_apac` or `regional`; none for `global`.
    pub deployment: Option<String>,
}

/// A part of a call that has a price of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Component {
    /// Input from no cache and to no cache.
    Input,
    /// Input read from a cache.
    Cached,
    /// Input written to a cache.
    CacheWrite,
    /// Input written to a cache for an hour.
    CacheWrite1h,
    /// Output, with reasoning where that has no price of its own.
    Output,
    /// Reasoning.
    Reasoning,
}

/// What each part of a call costs, a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rate {
    pub(crate) input: Usd,
    pub(crate) cached: Option<Usd>,
    pub(crate) cache_write: Option<Usd>,
    pub(crate) cache_write_1h: Option<Usd>,
    pub(crate) output: Usd,
    pub(crate) reasoning: Option<Usd>,
}

/// Which calls a row is for. Ordered so that longer contexts of the same terms come later.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RowKey {
    /// Empty for global.
    pub(crate) deployment: String,
    /// Empty for the ordinary tier.
    pub(crate) tier: String,
    /// For calls of more input tokens than this; 0 for all.
    pub(crate) above: u64,
}

impl Terms {
    /// These terms on this service tier.
    #[must_use]
    pub fn tier(mut self, tier: impl Into<String>) -> Self {
        self.tier = Some(tier.into());
        self
    }

    /// These terms where calls are processed there.
    #[must_use]
    pub fn deployment(mut self, deployment: impl Into<String>) -> Self {
        self.deployment = Some(deployment.into());
        self
    }

    pub(crate) fn row_tier(&self) -> &str {
        match self.tier.as_deref() {
            None | Some("" | "auto" | "default" | "standard") => "",
            Some(tier) => tier,
        }
    }

    pub(crate) fn row_deployment(&self) -> &str {
        match self.deployment.as_deref() {
            None | Some("" | "global") => "",
            Some(deployment) => deployment,
        }
    }
}

impl Component {
    pub(crate) const ALL: [Self; 6] = [
        Self::Input,
        Self::Cached,
        Self::CacheWrite,
        Self::CacheWrite1h,
        Self::Output,
        Self::Reasoning,
    ];

    /// Its name in the names of rates.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Cached => "cached",
            Self::CacheWrite => "cache_write",
            Self::CacheWrite1h => "cache_write_1h",
            Self::Output => "output",
            Self::Reasoning => "reasoning",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|component| component.as_str() == name)
    }
}

impl Rate {
    /// The price of a million tokens of this part. A part without one costs what its neighbour costs.
    pub(crate) fn per_million(&self, component: Component) -> Usd {
        match component {
            Component::Input => self.input,
            Component::Cached => self.cached.unwrap_or(self.input),
            Component::CacheWrite => self.cache_write.unwrap_or(self.input),
            Component::CacheWrite1h => {
                let short = self.per_million(Component::CacheWrite);
                self.cache_write_1h.unwrap_or_else(|| short.max(self.input))
            }
            Component::Output => self.output,
            Component::Reasoning => self.reasoning.unwrap_or(self.output),
        }
    }

    pub(crate) fn price(&self, component: Component) -> UnitPrice {
        UnitPrice::per_million(self.per_million(component))
    }

    /// The most that an input token can cost.
    pub(crate) fn dearest_input(&self) -> Usd {
        [
            Component::Input,
            Component::Cached,
            Component::CacheWrite,
            Component::CacheWrite1h,
        ]
        .into_iter()
        .fold(Usd::ZERO, |dearest, component| {
            dearest.max(self.per_million(component))
        })
    }

    pub(crate) fn dearest_output(&self) -> Usd {
        self.output.max(self.per_million(Component::Reasoning))
    }

    /// Of each part the dearer price.
    pub(crate) fn dearer(&self, other: &Self) -> Self {
        let of = |component| self.per_million(component).max(other.per_million(component));
        Self {
            input: of(Component::Input),
            cached: Some(of(Component::Cached)),
            cache_write: Some(of(Component::CacheWrite)),
            cache_write_1h: Some(of(Component::CacheWrite1h)),
            output: of(Component::Output),
            reasoning: Some(of(Component::Reasoning)),
        }
    }
}

/// `+data_zone+flex+above272000`; nothing for the ordinary row.
impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for word in [&self.deployment, &self.tier] {
            if !word.is_empty() {
                write!(f, "+{word}")?;
            }
        }
        if self.above > 0 {
            write!(f, "+above{}", self.above)?;
        }
        Ok(())
    }
}
