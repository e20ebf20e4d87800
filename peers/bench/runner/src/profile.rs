//! Profiles as Markdown: what costs most, and what costs more than it does the yardstick.

use crate::callgrind::{Cost, Profile};

/// The `count` dearest files, functions, copiers and allocators of a profile, beside those of another.
pub(crate) fn tables(profile: &Profile, yardstick: Option<&Profile>, count: usize) -> String {
    let nothing = Profile::default();
    let less = yardstick.unwrap_or(&nothing);
    let mut text = String::from("By the file in which they were written, own instructions:\n\n");
    let files = profile.files.iter().map(|(name, own)| {
        let before = less.files.get(name).copied().unwrap_or_default();
        (name.as_str(), *own, before)
    });
    text += &table("file", files.collect(), count);
    type Figure = fn(&Cost) -> f64;
    let figures: [(&str, &str, Figure); 5] = [
        ("By function, own instructions", "function", |cost| cost.own),
        ("By function, with what it calls", "function", |cost| {
            cost.whole
        }),
        (
            "Instructions spent in copying, by who copies",
            "function",
            |cost| cost.copies,
        ),
        ("Allocations, by who allocates", "function", |cost| {
            cost.allocations
        }),
        ("How often a function is called", "function", |cost| {
            cost.calls
        }),
    ];
    let none = Cost::default();
    for (title, what, figure) in figures {
        let functions = profile.functions.iter().map(|(name, cost)| {
            let before = less.functions.get(name).unwrap_or(&none);
            (name.as_str(), figure(cost), figure(before))
        });
        text += &format!("\n{title}:\n\n{}", table(what, functions.collect(), count));
    }
    text
}

/// Rows of a name, its figure and the yardstick's, by the difference.
fn table(what: &str, mut rows: Vec<(&str, f64, f64)>, count: usize) -> String {
    let difference = |row: &(&str, f64, f64)| row.1 - row.2;
    rows.retain(|row| difference(row) >= 0.5);
    rows.sort_by(|a, b| difference(b).total_cmp(&difference(a)));
    let mut text = format!("| more | here | yardstick | {what} |\n|---|---|---|---|\n");
    for row in rows.iter().take(count) {
        let (name, here, before) = *row;
        text += &format!(
            "| {:.0} | {here:.0} | {before:.0} | `{name}` |\n",
            here - before
        );
    }
    text
}
