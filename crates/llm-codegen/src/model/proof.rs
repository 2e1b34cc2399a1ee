use std::collections::BTreeMap;

use crate::eval::EvalReport;

/// The least share of right answers, and the quantile of the normal distribution for 95 % on both sides.
const ENOUGH: f64 = 0.98;
const Z: f64 = 1.96;

/// How often plans of each kind were right, of those that account for every word of their question and assume nothing.
///
/// Measured by [`evaluate`](crate::eval::evaluate) on questions with known answers; what is shipped is made by
/// `meterbox eval DIR --proof FILE`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    kinds: BTreeMap<String, Count>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    right: u32,
    asked: u32,
}

/// A text that is no proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {0} is not \"right of asked: kind\"")]
pub struct InvalidProof(usize);

impl Proof {
    /// What was measured when this version was made.
    ///
    /// # Panics
    /// Never: a test reads it.
    pub fn shipped() -> Self {
        Self::parse(include_str!("../../data/proof.txt")).expect("a test reads it")
    }

    /// Reads lines of `right of asked: kind`; empty ones and those that begin with `#` are passed over.
    ///
    /// # Errors
    /// [`InvalidProof`] names the first other line.
    pub fn parse(text: &str) -> Result<Self, InvalidProof> {
        let mut kinds = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let (kind, count) = count(line).ok_or(InvalidProof(number))?;
            kinds.insert(kind, count);
        }
        Ok(Self { kinds })
    }

    /// Is at least 98 % of this kind right, to 95 %? By Wilson's lower bound, which few questions never reach.
    pub fn is_proven(&self, kind: &str) -> bool {
        self.kinds
            .get(kind)
            .is_some_and(|count| count.lower_bound() >= ENOUGH)
    }
}

impl From<&EvalReport> for Proof {
    fn from(report: &EvalReport) -> Self {
        let counts = report.certain_by_kind.iter().map(|(kind, tally)| {
            let count = Count {
                right: tally.right,
                asked: tally.asked,
            };
            (kind.clone(), count)
        });
        Self {
            kinds: counts.collect(),
        }
    }
}

impl std::fmt::Display for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (kind, Count { right, asked }) in &self.kinds {
            writeln!(f, "{right} of {asked}: {kind}")?;
        }
        Ok(())
    }
}

impl Count {
    /// E. B. Wilson, Probable inference, the law of succession, and statistical inference (1927).
    fn lower_bound(self) -> f64 {
        if self.asked == 0 {
            return 0.0;
        }
        let n = f64::from(self.asked);
        let share = f64::from(self.right) / n;
        let middle = share + Z * Z / (2.0 * n);
        let spread = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
        (middle - spread) / (1.0 + Z * Z / n)
    }
}

fn count(line: &str) -> Option<(String, Count)> {
    let (counts, kind) = line.split_once(": ")?;
    let (right, asked) = counts.split_once(" of ")?;
    let count = Count {
        right: right.parse().ok()?,
        asked: asked.parse().ok()?,
    };
    (count.right <= count.asked && !kind.is_empty()).then(|| (kind.to_owned(), count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_many_right_answers_and_hardly_a_wrong_one() {
        let proof =
            Proof::parse("# measured\n\n189 of 189: a\n188 of 188: b\n297 of 300: c\n998 of 1000: d\n")
                .unwrap();
        let proven: Vec<_> = ["a", "b", "c", "d", "e"].map(|kind| proof.is_proven(kind)).into();
        assert_eq!(proven, [true, false, false, true, false]);
        assert_eq!(Proof::parse(&proof.to_string()).unwrap(), proof);
    }

    #[test]
    fn what_is_no_proof_is_named() {
        for (text, line) in [
            ("1 of 2", 1),
            ("# x\n3 of 2: a", 2),
            ("a of 2: b", 1),
            ("1 of 2: ", 1),
        ] {
            assert_eq!(Proof::parse(text), Err(InvalidProof(line)), "{text}");
        }
    }

    #[test]
    fn what_is_shipped_can_be_read() {
        let _ = Proof::shipped();
    }
}
