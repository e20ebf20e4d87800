//! Results as a page: a table for people, the same as JSON for programs.

use std::fmt::Write;

use serde::Serialize;

use crate::figure::Figure;
use crate::machine::Machine;

/// Everything that one run has shown.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) short: bool,
    pub(crate) figures: Vec<Figure>,
}

impl Results {
    pub(crate) fn are_held(&self) -> bool {
        self.figures.iter().all(Figure::holds)
    }

    /// The whole page, as Markdown.
    pub(crate) fn page(&self) -> String {
        let machine = &self.machine;
        let mut page = format!(
            "# Loads that Highball carries\n\nMeasured by `peers/load/run{}`, both ends on {} × {}, Linux {}: {}.\n\n",
            if self.short { " --short" } else { "" },
            machine.processors,
            machine.processor,
            machine.kernel,
            machine.versions.join(", "),
        );
        page += "| figure | scenario | claim | wanted | measured | |\n|---|---|---|---|---|---|\n";
        for figure in &self.figures {
            page += &rows(figure);
        }
        let seconds: f64 = self.figures.iter().map(|figure| figure.seconds).sum();
        let missed = self.figures.iter().filter(|figure| !figure.holds()).count();
        let _ = match missed {
            0 => writeln!(page, "\nAll held, in {seconds:.0} s."),
            _ => writeln!(page, "\n{missed} **missed**, in {seconds:.0} s."),
        };
        let json = serde_json::to_string_pretty(self).unwrap_or_else(|error| error.to_string());
        page + "\n```json\n" + &json + "\n```\n"
    }
}

fn rows(figure: &Figure) -> String {
    let mut rows = String::new();
    let mut opening = format!("**{}** | {}", figure.id, figure.scenario);
    for claim in &figure.claims {
        let wanted = claim.wanted.as_deref().unwrap_or("–");
        let verdict = match (claim.holds, &claim.wanted) {
            (true, Some(_)) => "held",
            (true, None) => "",
            (false, _) => "**missed**",
        };
        let (what, measured) = (&claim.what, &claim.measured);
        let _ = writeln!(
            rows,
            "| {opening} | {what} | {wanted} | {measured} | {verdict} |"
        );
        opening = " | ".to_owned();
    }
    rows
}
