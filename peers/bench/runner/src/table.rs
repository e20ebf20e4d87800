//! Results as Markdown.

use std::fmt::Write;

use bench_kit::{Ends, Kind, Report};

use crate::counts;
use crate::options::Pair;
use crate::results::Results;
use crate::rounds::MeasuredCell;
use crate::targets;

/// The whole page.
pub(crate) fn page(results: &Results, pairs: &[Pair]) -> String {
    let mut page = head(results);
    if !results.cells.is_empty() {
        page += &rounds(results, pairs);
    }
    page += &lost(results);
    if !results.counts.is_empty() {
        page +=
            "\n## Counts\n\nUnary calls of 32 B, one after the other; heap as it is asked for.\n\n";
        page += &counts::table(&results.counts);
    }
    page += &footprints(results);
    page += &control(results);
    page += "\n## Targets\n\n";
    page += &targets::table(results);
    page
}

/// What was measured in rounds.
fn rounds(results: &Results, pairs: &[Pair]) -> String {
    let mut page = String::from(
        "\n## Ratios\n\nWithin a round: median (min – max).\n\n\
         | work | pair | rate | CPU per item | p50 | p99 |\n|---|---|---|---|---|---|\n",
    );
    for cell in &results.cells {
        for pair in pairs {
            page += &ratio_row(cell, pair).unwrap_or_default();
        }
    }
    page += "\n## Figures\n\nMedians. An item is a call, a round trip or a streamed message.\n\n";
    page += "| work | stack | items/s | MB/s | p50 µs | p99 µs | CPU µs per item, client | server | \
             RSS MiB, client | server | failed |\n|---|---|---|---|---|---|---|---|---|---|---|\n";
    for cell in &results.cells {
        page += &figure_rows(cell);
    }
    page
}

/// Where, with what, and what is missing.
fn head(results: &Results) -> String {
    let machine = &results.machine;
    let mut head = format!(
        "Measured by `{}`: {} rounds of {} s, on {} × {}, Linux {}, load average {} before the start.\n\n{}.\n",
        results.command,
        results.rounds,
        results.seconds,
        machine.processors,
        machine.processor,
        machine.kernel,
        machine.load,
        machine.versions.join(", "),
    );
    for reason in &results.skipped {
        head += &format!("\n{reason}\n");
    }
    head
}

fn lost(results: &Results) -> String {
    if results.lost.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "\n## Streams of 4 B from a grpc-go server\n\nFor a second each.\n\n\
         | client | runs | connections lost | messages/s in the others |\n|---|---|---|---|\n",
    );
    for lost in &results.lost {
        let rate = median(lost.rates.clone()).map_or("–".to_owned(), |rate| format!("{rate:.0}"));
        let (client, runs) = (&lost.client, lost.runs);
        let _ = writeln!(text, "| {client} | {runs} | {} | {rate} |", lost.lost);
    }
    text
}

fn footprints(results: &Results) -> String {
    if results.footprints.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "\n## Resident memory\n\nOf each of 10 000 parked streams on 100 connections, and of each of 1 000 idle channels.\n\n\
         | client / server | bytes a parked stream | bytes an idle channel |\n|---|---|---|\n",
    );
    for grown in &results.footprints {
        let shown = |ends: Option<Ends>| {
            ends.map_or("failed".to_owned(), |ends| {
                format!("{:.0} / {:.0}", ends.client, ends.server)
            })
        };
        let (streams, channels) = (shown(grown.parked_stream), shown(grown.idle_channel));
        let _ = writeln!(text, "| {} | {streams} | {channels} |", grown.stack);
    }
    text
}

fn control(results: &Results) -> String {
    let Some(control) = &results.control else {
        return String::new();
    };
    format!(
        "\n## Control plane\n\n\
         | what | figure |\n|---|---|\n\
         | a pick among 100 READY subchannels, one thread | {:.1} ns, {} allocations |\n\
         | the same from two threads | {:.1} ns |\n\
         | an update of 10 000 endpoints | {:.1} ms, {} generation |\n\
         | heap of the channel with one endpoint, 10 000, one again | {} → {} → {} bytes |\n\
         | 1 000 subchannels, {:.0} of them a second going away and coming back | {:.3} cores |\n",
        control.pick_ns,
        control.pick_allocations,
        control.pick_ns_two_threads,
        control.update_ms,
        control.update_generations,
        control.bytes_with_one,
        control.bytes_with_many,
        control.bytes_after_shrinking,
        control.flaps_per_second,
        control.flapping_cores,
    )
}

/// The ratios of one pair; `None` if one of the two did not run.
fn ratio_row(cell: &MeasuredCell, pair: &Pair) -> Option<String> {
    let figures: [fn(&Report) -> Option<f64>; 4] =
        [rate, cpu, |report| report.p50_us, |report| report.p99_us];
    let (first, second) = (&pair.first, &pair.second);
    let mut row = format!("| {} | {first}/{second} |", cell.cell);
    for figure in figures {
        row += &format!(" {} |", spread(ratios(cell, first, second, figure)?));
    }
    Some(row + "\n")
}

/// The ratio of a figure of two stacks in each round; `None` if one of the two did not run.
pub(crate) fn ratios(
    cell: &MeasuredCell,
    first: &str,
    second: &str,
    figure: fn(&Report) -> Option<f64>,
) -> Option<Vec<f64>> {
    let reports = |name: &str| cell.stacks.iter().find(|stack| stack.name == name);
    let (first, second) = (reports(first)?, reports(second)?);
    let rounds = first.reports.iter().zip(&second.reports);
    let ratio = |(first, second): (&Option<Report>, &Option<Report>)| {
        Some(figure(first.as_ref()?)? / figure(second.as_ref()?)?)
    };
    Some(rounds.filter_map(ratio).collect())
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
pub(crate) fn rate(report: &Report) -> Option<f64> {
    Some(report.calls as f64 / report.seconds)
}

/// CPU seconds of both ends for an item.
pub(crate) fn cpu(report: &Report) -> Option<f64> {
    (report.calls > 0).then(|| (report.client_cpu_s + report.server_cpu_s) / report.calls as f64)
}

pub(crate) fn median(mut figures: Vec<f64>) -> Option<f64> {
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
