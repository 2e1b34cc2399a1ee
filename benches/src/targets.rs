//! What figures are held against.

use std::process::ExitCode;

/// Targets of this run. One that is missed is said to be; a bench fails where a figure is off by more than twice, which no
/// busy machine explains away.
#[derive(Debug, Default)]
pub struct Targets {
    failed: bool,
}

impl Targets {
    /// A figure that should be small: what to print beside it.
    pub fn at_most(&mut self, figure: f64, target: f64) -> String {
        self.held(figure / target, target)
    }

    /// A figure that should be large: what to print beside it.
    pub fn at_least(&mut self, figure: f64, target: f64) -> String {
        self.held(target / figure, target)
    }

    fn held(&mut self, off: f64, target: f64) -> String {
        let how = match off {
            ..=1.0 => "met",
            ..=2.0 => "MISSED",
            _ => {
                self.failed = true;
                "MISSED BY MORE THAN TWICE"
            }
        };
        format!("target {target}: {how}")
    }

    /// How the bench ends, for whom the lines say why.
    pub fn exit(self) -> ExitCode {
        ExitCode::from(u8::from(self.failed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_may_be_missed_and_not_by_more_than_twice() {
        let mut targets = Targets::default();
        assert_eq!(targets.at_most(1.0, 1.0), "target 1: met");
        assert_eq!(targets.at_most(1.5, 1.0), "target 1: MISSED");
        assert_eq!(targets.at_least(100.0, 150.0), "target 150: MISSED");
        assert_eq!(targets.at_least(200.0, 150.0), "target 150: met");
        assert!(!targets.failed);
        for figure in [2.1, f64::NAN] {
            let mut targets = Targets::default();
            targets.at_most(figure, 1.0);
            assert!(targets.failed);
        }
        targets.at_least(70.0, 150.0);
        assert_eq!(
            format!("{:?}", targets.exit()),
            format!("{:?}", ExitCode::FAILURE)
        );
    }
}
