//! What Highball is to reach, beside what it does: the table at the end of a page.

use std::fmt::Write;

use bench_kit::{Ends, Report};

use crate::results::Results;
use crate::table::{cpu, median, ratios};

const OURS: &str = "highball";

/// On which side of a bound is good.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

use Bound::{AtLeast, AtMost};

/// One row.
struct Target {
    what: String,
    must: Bound,
    aim: Bound,
    figure: Option<f64>,
}

/// All targets, with the figures that `results` has.
pub(crate) fn table(results: &Results) -> String {
    let mut rows = throughput(results);
    rows.extend(streams(results));
    rows.extend(counts(results));
    rows.extend(control(results));
    let met = |bound: fn(&Target) -> Bound| {
        let met = |target: &&Target| {
            target
                .figure
                .is_some_and(|figure| bound(target).holds(figure))
        };
        rows.iter().filter(met).count()
    };
    let measured: Vec<_> = rows.iter().filter(|row| row.figure.is_some()).collect();
    let mut text = format!(
        "{} of {} are met, and {} of the aims; {} were not measured.\n\n\
         | target | must | aim | figure | |\n|---|---|---|---|---|\n",
        met(|target| target.must),
        measured.len(),
        met(|target| target.aim),
        rows.len() - measured.len(),
    );
    for row in measured {
        let figure = row.figure.map_or("–".to_owned(), shown);
        let (must, aim) = (row.must.shown(), row.aim.shown());
        let _ = writeln!(
            text,
            "| {} | {must} | {aim} | {figure} | {} |",
            row.what,
            row.verdict()
        );
    }
    text
}

fn throughput(results: &Results) -> Vec<Target> {
    let ratio = |cell: &str, peer: &str, figure: Figure| middle(results, cell, peer, figure);
    let mut rows = Vec::new();
    let mut add = |what: String, must, aim, figure| {
        rows.push(Target {
            what,
            must,
            aim,
            figure,
        });
    };
    for calls in [16, 128] {
        let cell = format!("unary 32 B, {calls} calls, 1 conn.");
        for (peer, must, aim) in [
            ("rawh2", 0.9, 1.25),
            ("tonic", 1.5, 2.0),
            ("grpc-go", 1.5, 2.0),
        ] {
            let figure = ratio(&cell, peer, Figure::Rate);
            let what = format!("{cell}: calls/s, to {peer}'s");
            add(what, AtLeast(must), AtLeast(aim), figure);
        }
        let figure = ratio(&cell, "rawh2", Figure::Cpu);
        let what = format!("{cell}: CPU per call, to rawh2's");
        add(what, AtMost(1.15), AtMost(0.8), figure);
    }
    for (cell, aim) in [
        ("unary 1 KiB, 128 calls, 1 conn.", 1.6),
        ("unary 64 KiB, 16 calls, 1 conn.", 1.3),
        ("server stream 64 KiB, 1 calls, 1 conn.", 1.3),
    ] {
        let figure = ratio(cell, "rawh2", Figure::Rate);
        add(
            format!("{cell}: rate, to rawh2's"),
            AtLeast(1.0),
            AtLeast(aim),
            figure,
        );
    }
    for (cell, must, aim) in [
        ("unary 32 B, 1 calls, 1 conn.", 1.15, 1.05),
        ("cold channel 32 B, 1 calls, 1 conn.", 1.5, 1.2),
    ] {
        let figure = ratio(cell, "rawh2", Figure::Median);
        add(
            format!("{cell}: p50, to rawh2's"),
            AtMost(must),
            AtMost(aim),
            figure,
        );
    }
    rows
}

fn streams(results: &Results) -> Vec<Target> {
    let small = "server stream 1 KiB, 1 calls, 1 conn.";
    let crowd = "unary 32 B, 1000 calls, 50 conn.";
    let row = |what: String, must, aim, figure| Target {
        what,
        must,
        aim,
        figure,
    };
    let rate = |peer| middle(results, small, peer, Figure::Rate);
    let p99 = |peer| middle(results, crowd, peer, Figure::Tail);
    let lost = results.lost.iter().find(|lost| lost.client == OURS);
    let runs = lost.map_or(20, |lost| lost.runs);
    vec![
        row(
            format!("{small}: messages/s, to tonic's"),
            AtLeast(1.0),
            AtLeast(1.0),
            rate("tonic"),
        ),
        row(
            format!("{small}: messages/s, to rawh2's, packed (aim only)"),
            AtLeast(0.0),
            AtLeast(1.0),
            rate("rawh2"),
        ),
        row(
            format!("{crowd}: p99, to tonic's"),
            AtMost(0.5),
            AtMost(0.5),
            p99("tonic"),
        ),
        row(
            format!("{crowd}: p99, to rawh2's (aim only)"),
            AtMost(f64::INFINITY),
            AtMost(1.0),
            p99("rawh2"),
        ),
        row(
            format!("connections lost in {runs} streams of 4 B from grpc-go"),
            AtMost(0.0),
            AtMost(0.0),
            lost.map(|lost| lost.lost as f64),
        ),
    ]
}

fn counts(results: &Results) -> Vec<Target> {
    let counted = results.counts.iter().find(|counted| counted.stack == OURS);
    let footprint = results.footprints.iter().find(|grown| grown.stack == OURS);
    let mut rows = Vec::new();
    let mut add = |what: &str, musts: [f64; 2], aims: [f64; 2], ends: Option<Ends>| {
        for (index, end) in ["client", "server"].iter().enumerate() {
            rows.push(Target {
                what: format!("{what}, {end}"),
                must: AtMost(musts[index]),
                aim: AtMost(aims[index]),
                figure: ends.map(|ends| [ends.client, ends.server][index]),
            });
        }
    };
    // A count has a fraction of timers and threads in it, to about one in a hundred.
    let whole = |ends: Ends| Ends {
        client: ends.client.round(),
        server: ends.server.round(),
    };
    let allocations = counted.map(|counted| whole(counted.allocations));
    add(
        "allocations of a call",
        [17.0, 15.0],
        [13.0, 11.0],
        allocations,
    );
    let instructions = counted.and_then(|counted| counted.instructions.map(whole));
    add(
        "instructions of a call",
        [33e3, 37e3],
        [30e3, 34e3],
        instructions,
    );
    let parked = counted.map(|counted| whole(counted.parked_stream_bytes));
    add(
        "heap bytes of a parked stream",
        [2048.0, 4096.0],
        [1024.0, 3072.0],
        parked,
    );
    rows.push(Target {
        what: "resident bytes of an idle channel, client".to_owned(),
        must: AtMost(30e3),
        aim: AtMost(24e3),
        figure: footprint.and_then(|grown| Some(grown.idle_channel?.client.round())),
    });
    rows
}

fn control(results: &Results) -> Vec<Target> {
    let control = results.control.as_ref();
    let mut rows = Vec::new();
    let mut add = |what: &str, must, aim, figure| {
        rows.push(Target {
            what: what.to_owned(),
            must: AtMost(must),
            aim: AtMost(aim),
            figure,
        });
    };
    let picks = "ns a pick among 100 READY subchannels";
    add(picks, 50.0, 25.0, control.map(|c| c.pick_ns));
    let from_two = format!("{picks}, from two threads");
    add(
        &from_two,
        50.0,
        25.0,
        control.map(|c| c.pick_ns_two_threads),
    );
    add(
        "allocations of a pick",
        0.0,
        0.0,
        control.map(|c| c.pick_allocations),
    );
    add(
        "ms to apply an update of 10 000 endpoints",
        200.0,
        50.0,
        control.map(|c| c.update_ms),
    );
    add(
        "generations of such an update",
        1.0,
        1.0,
        control.map(|c| c.update_generations as f64),
    );
    add(
        "share of its memory that stays when they go",
        0.05,
        0.01,
        control.map(|c| {
            let grown = c.bytes_with_many - c.bytes_with_one;
            (c.bytes_after_shrinking - c.bytes_with_one).max(0) as f64 / grown as f64
        }),
    );
    add(
        "cores for 1 000 subchannels of which 100 a second flap",
        0.25,
        0.25,
        control.map(|c| c.flapping_cores),
    );
    rows
}

/// What is compared.
#[derive(Clone, Copy)]
enum Figure {
    Rate,
    Cpu,
    Median,
    Tail,
}

/// The median of our ratios to `peer` in one kind of work.
fn middle(results: &Results, cell: &str, peer: &str, figure: Figure) -> Option<f64> {
    let cell = results
        .cells
        .iter()
        .find(|measured| measured.cell.to_string() == cell)?;
    let figure: fn(&Report) -> Option<f64> = match figure {
        Figure::Rate => crate::table::rate,
        Figure::Cpu => cpu,
        Figure::Median => |report| report.p50_us,
        Figure::Tail => |report| report.p99_us,
    };
    median(ratios(cell, OURS, peer, figure)?)
}

impl Bound {
    fn holds(self, figure: f64) -> bool {
        match self {
            AtLeast(bound) => figure >= bound,
            AtMost(bound) => figure <= bound,
        }
    }

    fn shown(self) -> String {
        match self {
            AtMost(f64::INFINITY) | AtLeast(0.0) => "–".to_owned(),
            AtLeast(bound) => format!("≥ {}", shown(bound)),
            AtMost(bound) => format!("≤ {}", shown(bound)),
        }
    }
}

impl Target {
    fn verdict(&self) -> &'static str {
        match self.figure {
            None => "not measured",
            Some(figure) if self.aim.holds(figure) => "aim met",
            Some(figure) if self.must.holds(figure) => "met",
            Some(_) => "**not met**",
        }
    }
}

/// Whole from a thousand on, otherwise with two digits where there are any.
fn shown(figure: f64) -> String {
    if figure.fract() == 0.0 || figure >= 1_000.0 {
        format!("{figure:.0}")
    } else if figure < 0.1 {
        format!("{figure:.4}")
    } else {
        format!("{figure:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(figure: Option<f64>) -> &'static str {
        let target = Target {
            what: "bytes".to_owned(),
            must: AtMost(10.0),
            aim: AtMost(5.0),
            figure,
        };
        target.verdict()
    }

    #[test]
    fn a_target_is_missed_met_or_left_behind() {
        assert_eq!(verdict(None), "not measured");
        assert_eq!(verdict(Some(10.1)), "**not met**");
        assert_eq!(verdict(Some(10.0)), "met");
        assert_eq!(verdict(Some(5.0)), "aim met");
        assert!(AtLeast(1.5).holds(1.5) && !AtLeast(1.5).holds(1.4));
    }

    #[test]
    fn bounds_are_short() {
        assert_eq!(AtLeast(1.25).shown(), "≥ 1.25");
        assert_eq!(AtMost(33_000.0).shown(), "≤ 33000");
        assert_eq!(AtMost(f64::INFINITY).shown(), "–");
    }
}
