//! Results as Markdown.

use std::fmt::Write;

use bench_kit::{Kind, Report};

use crate::options::Pair;
use crate::rounds::{Measured, MeasuredCell};

/// The whole page.
pub(crate) fn page(measured: &Measured, pairs: &[Pair], skipped: &[String]) -> String {
    let machine = &measured.machine;
    let mut page = format!(
        "Measured by `{}`: {} rounds of {} s, on {} × {}, Linux {}, load average {} before the start.\n\n{}.\n",
        measured.command,
        measured.rounds,
        measured.seconds,
        machine.processors,
        machine.processor,
        machine.kernel,
        machine.load,
        machine.versions.join(", "),
    );
    for reason in skipped {
        page += &format!("\n{reason}\n");
    }
    page += "\n## Ratios\n\nWithin a round: median (min – max).\n\n";
    page += "| work | pair | rate | CPU per item | p50 | p99 |\n|---|---|---|---|---|---|\n";
    for cell in &measured.cells {
        for pair in pairs {
            page += &ratio_row(cell, pair).unwrap_or_default();
        }
    }
    page += "\n## Figures\n\nMedians. An item is a call, a round trip or a streamed message.\n\n";
    page += "| work | stack | items/s | MB/s | p50 µs | p99 µs | CPU µs per item, client | server | \
             RSS MiB, client | server | failed |\n|---|---|---|---|---|---|---|---|---|---|---|\n";
    for cell in &measured.cells {
        page += &figure_rows(cell);
    }
    page
}

/// The ratios of one pair; `None` if one of the two did not run.
fn ratio_row(cell: &MeasuredCell, pair: &Pair) -> Option<String> {
    let reports = |name: &str| cell.stacks.iter().find(|stack| stack.name == name);
    let (first, second) = (reports(&pair.first)?, reports(&pair.second)?);
    let rounds: Vec<_> = first.reports.iter().zip(&second.reports).collect();
    let ratios = |figure: fn(&Report) -> Option<f64>| {
        let ratio = |(first, second): &(&Option<Report>, &Option<Report>)| {
            Some(figure(first.as_ref()?)? / figure(second.as_ref()?)?)
        };
        spread(rounds.iter().filter_map(ratio).collect())
    };
    Some(format!(
        "| {} | {}/{} | {} | {} | {} | {} |\n",
        cell.cell,
        pair.first,
        pair.second,
        ratios(rate),
        ratios(cpu),
        ratios(|report| report.p50_us),
        ratios(|report| report.p99_us),
    ))
}

fn figure_rows(cell: &MeasuredCell) -> String {
    let mut rows = String::new();
    for stack in &cell.stacks {
        let reports: Vec<_> = stack.reports.iter().flatten().collect();
        let middle = |figure: &dyn Fn(&Report) -> Option<f64>, digits: usize| {
            let figures = reports.iter().filter_map(|report| figure(report)).collect();
            median(figures).map_or("–".to_owned(), |middle| format!("{middle:.digits$}"))
        };
        let bytes = match cell.cell.kind {
            Kind::ServerStream | Kind::ClientStream => cell.cell.payload as f64,
            Kind::Unary | Kind::Bidi | Kind::Cold => 2.0 * cell.cell.payload as f64,
        };
        let each = |seconds: f64, report: &Report| Some(seconds * 1e6 / report.calls as f64);
        let _ = writeln!(
            rows,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            cell.cell,
            stack.name,
            middle(&rate, 0),
            middle(&|report| Some(rate(report)? * bytes / 1e6), 1),
            middle(&|report| report.p50_us, 1),
            middle(&|report| report.p99_us, 1),
            middle(&|report| each(report.client_cpu_s, report), 2),
            middle(&|report| each(report.server_cpu_s, report), 2),
            middle(&|report| Some(report.client_rss_kib as f64 / 1024.0), 1),
            middle(&|report| Some(report.server_rss_kib as f64 / 1024.0), 1),
            stack
                .reports
                .iter()
                .filter(|report| report.is_none())
                .count(),
        );
    }
    rows
}

/// Items a second.
fn rate(report: &Report) -> Option<f64> {
    Some(report.calls as f64 / report.seconds)
}

/// CPU seconds of both ends for an item.
fn cpu(report: &Report) -> Option<f64> {
    (report.calls > 0).then(|| (report.client_cpu_s + report.server_cpu_s) / report.calls as f64)
}

fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => None,
        length if length % 2 == 1 => Some(figures[middle]),
        _ => Some((figures[middle - 1] + figures[middle]) / 2.0),
    }
}

fn spread(figures: Vec<f64>) -> String {
    let least = figures.iter().copied().fold(f64::INFINITY, f64::min);
    let most = figures.iter().copied().fold(0.0, f64::max);
    let middle = median(figures);
    middle.map_or("–".to_owned(), |middle| {
        format!("**{middle:.2}** ({least:.2} – {most:.2})")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_its_median_in_front() {
        assert_eq!(spread(vec![3.0, 1.0, 2.0]), "**2.00** (1.00 – 3.00)");
        assert_eq!(spread(vec![1.0, 2.0]), "**1.50** (1.00 – 2.00)");
        assert_eq!(spread(vec![]), "–");
    }
}
