//! What figures are held against.

use std::process::ExitCode;

/// Targets of this run. One that is missed is said to be; a bench fails where a figure is off by more than twice, which no
/// busy machine explains away.
#[derive(Debug, Default)]
pub struct Targets {
    failed: Vec<String>,
}

impl Targets {
    /// A figure that should be small: what to print beside it.
    pub fn at_most(&mut self, what: &str, figure: f64, target: f64) -> String {
        self.held(what, figure / target, target)
    }

    /// A figure that should be large: what to print beside it.
    pub fn at_least(&mut self, what: &str, figure: f64, target: f64) -> String {
        self.held(what, target / figure, target)
    }

    fn held(&mut self, what: &str, off: f64, target: f64) -> String {
        if off <= 1.0 {
            return format!("target {target}: met");
        }
        if off <= 2.0 {
            return format!("target {target}: MISSED");
        }
        self.failed.push(what.to_owned());
        format!("target {target}: MISSED BY MORE THAN TWICE")
    }

    /// How the bench ends, for whom each figure says why.
    pub fn exit(self) -> ExitCode {
        ExitCode::from(u8::from(!self.failed.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_may_be_missed_and_not_by_more_than_twice() {
        let mut targets = Targets::default();
        assert_eq!(targets.at_most("a", 1.0, 1.0), "target 1: met");
        assert_eq!(targets.at_most("b", 1.5, 1.0), "target 1: MISSED");
        assert_eq!(targets.at_least("c", 100.0, 150.0), "target 150: MISSED");
        assert_eq!(targets.at_least("d", 200.0, 150.0), "target 150: met");
        assert!(targets.failed.is_empty());
        targets.at_most("e", 2.1, 1.0);
        targets.at_least("f", 70.0, 150.0);
        assert_eq!(targets.failed, ["e", "f"]);
        assert_eq!(
            format!("{:?}", targets.exit()),
            format!("{:?}", ExitCode::FAILURE)
        );
    }
}
