//! A figure: a scenario, what is claimed of it, and whether that was found to be so.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::tally::Tally;

/// How much of a scenario is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// All that the figure is defined by.
    Full,
    /// The same in kind, for every change.
    Short,
}

/// One scenario and its outcome.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) id: &'static str,
    pub(crate) scenario: String,
    pub(crate) seconds: f64,
    pub(crate) claims: Vec<Claim>,
}

/// Something measured, and what it must be if it must be anything.
#[derive(Debug, Serialize)]
pub(crate) struct Claim {
    pub(crate) what: String,
    pub(crate) wanted: Option<String>,
    pub(crate) measured: String,
    pub(crate) holds: bool,
}

impl Size {
    /// The one or the other.
    pub(crate) fn of<T>(self, full: T, short: T) -> T {
        match self {
            Self::Full => full,
            Self::Short => short,
        }
    }
}

impl Figure {
    pub(crate) fn new(id: &'static str, scenario: String) -> Self {
        Self {
            id,
            scenario,
            seconds: 0.0,
            claims: Vec::new(),
        }
    }

    /// It must be this very number.
    pub(crate) fn exactly(&mut self, what: &str, wanted: u64, measured: u64) {
        let (wanted_text, holds) = (wanted.to_string(), wanted == measured);
        self.claim(what, wanted_text, measured.to_string(), holds);
    }

    /// It must be this much or less.
    pub(crate) fn at_most(&mut self, what: &str, most: u64, measured: u64) {
        let holds = measured <= most;
        self.claim(what, format!("≤ {most}"), measured.to_string(), holds);
    }

    /// It must be this much or more: without it the scenario was another.
    pub(crate) fn at_least(&mut self, what: &str, least: u64, measured: u64) {
        let holds = measured >= least;
        self.claim(what, format!("≥ {least}"), measured.to_string(), holds);
    }

    /// It must take less than this.
    pub(crate) fn within(&mut self, what: &str, bound: Duration, measured: Duration) {
        let (wanted, holds) = (format!("< {bound:?}"), measured < bound);
        self.claim(what, wanted, milliseconds(measured), holds);
    }

    /// Worth knowing, and nothing more.
    pub(crate) fn note(&mut self, what: &str, measured: impl fmt::Display) {
        self.claims.push(Claim {
            what: what.to_owned(),
            wanted: None,
            measured: measured.to_string(),
            holds: true,
        });
    }

    pub(crate) fn claim(&mut self, what: &str, wanted: String, measured: String, holds: bool) {
        self.claims.push(Claim {
            what: what.to_owned(),
            wanted: Some(wanted),
            measured,
            holds,
        });
    }

    /// What failed calls said, if any failed.
    pub(crate) fn failures(&mut self, tally: &Tally) {
        if tally.failed() > 0 {
            self.note("failures", tally.failures());
        }
    }

    pub(crate) fn took(&mut self, time: Duration) {
        self.seconds = time.as_secs_f64();
    }

    pub(crate) fn holds(&self) -> bool {
        self.claims.iter().all(|claim| claim.holds)
    }
}

/// For people.
pub(crate) fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.holds() { "held" } else { "MISSED" };
        write!(f, "{} {verdict} in {:.1} s:", self.id, self.seconds)?;
        for claim in &self.claims {
            let missed = if claim.holds { "" } else { " (MISSED)" };
            write!(f, " {} {}{missed};", claim.what, claim.measured)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_holds_if_all_its_claims_do() {
        let mut figure = Figure::new("F0", "nothing".to_owned());
        figure.exactly("failed", 0, 0);
        figure.at_most("open", 100, 100);
        figure.at_least("connections", 1, 1);
        figure.within("p99", Duration::from_millis(2), Duration::from_millis(1));
        figure.note("others", 5);
        assert!(figure.holds());
        for missed in [
            Figure::exactly as fn(&mut Figure, &str, u64, u64),
            Figure::at_least,
        ] {
            let mut figure = Figure::new("F0", "nothing".to_owned());
            missed(&mut figure, "connections", 2, 1);
            assert!(!figure.holds());
        }
        figure.at_most("open", 100, 101);
        assert!(!figure.holds());
    }

    #[test]
    fn a_bound_is_missed_when_it_is_reached() {
        let mut figure = Figure::new("F0", "nothing".to_owned());
        figure.within("p99", Duration::from_millis(1), Duration::from_millis(1));
        assert!(!figure.holds());
    }
}
