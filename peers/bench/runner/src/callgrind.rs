//! Reads what callgrind writes: the instructions of each function, its own and those of what it calls.
//!
//! ```text
//!   fl=(3) encoder.rs      a file; also fi= and fe=, for code that was inlined from elsewhere
//!   fn=(7) encode          a function; its name comes with the number the first time only
//!   12 340                 340 instructions of its own at line 12
//!   cfn=(9) __rdl_alloc    it calls another,
//!   calls=5 80             five times,
//!   14 900                 which costs 900
//! ```

use std::collections::BTreeMap;

/// What one run cost, by function.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Profile {
    pub(crate) functions: BTreeMap<String, Cost>,
    /// Instructions by the source file they were written in, wherever they were inlined.
    pub(crate) files: BTreeMap<String, f64>,
    pub(crate) total: f64,
}

/// What one function cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Cost {
    /// Instructions of its own.
    pub(crate) own: f64,
    /// Instructions with those of the functions it called. A function that calls itself counts twice.
    pub(crate) whole: f64,
    /// How often it was called.
    pub(crate) calls: f64,
    /// How often it called the allocator.
    pub(crate) allocations: f64,
    /// Instructions of the copies it made.
    pub(crate) copies: f64,
}

impl Profile {
    /// Reads the contents of a `callgrind.out` file.
    pub(crate) fn parse(text: &str) -> Self {
        let mut profile = Self::default();
        let (mut names, mut files) = (BTreeMap::new(), BTreeMap::new());
        let (mut function, mut callee) = (String::new(), String::new());
        let mut file = String::new();
        let mut calls = None;
        for line in text.lines() {
            if let Some(path) = file_of(line) {
                file = full(path, &mut files);
            } else if let Some(path) = line.strip_prefix("cfi=").or(line.strip_prefix("cfl=")) {
                // The callee's file: nothing of its cost is here, but its number may be new.
                full(path, &mut files);
            } else if let Some(name) = line.strip_prefix("fn=") {
                function = full(name, &mut names);
            } else if let Some(name) = line.strip_prefix("cfn=") {
                callee = full(name, &mut names);
            } else if let Some(rest) = line.strip_prefix("calls=") {
                calls = rest.split(' ').next().and_then(|count| count.parse().ok());
            } else if let Some(cost) = cost(line) {
                match calls.take() {
                    Some(calls) => profile.add_call(&function, &callee, calls, cost),
                    None => profile.add_own(&function, &file, cost),
                }
            }
        }
        profile
    }

    fn add_own(&mut self, function: &str, file: &str, cost: f64) {
        self.total += cost;
        *self.files.entry(short(file).to_owned()).or_default() += cost;
        let entry = self.functions.entry(function.to_owned()).or_default();
        entry.own += cost;
        entry.whole += cost;
    }

    fn add_call(&mut self, function: &str, callee: &str, calls: f64, cost: f64) {
        let caller = self.functions.entry(function.to_owned()).or_default();
        caller.whole += cost;
        if is_allocator(callee) && !is_allocator(function) {
            caller.allocations += calls;
        }
        if callee.contains("memcpy") {
            caller.copies += cost;
        }
        self.functions.entry(callee.to_owned()).or_default().calls += calls;
    }

    /// What each of `calls` further calls cost, if `self` made that many more than `less`.
    pub(crate) fn per_call(&self, less: &Self, calls: f64) -> Self {
        let none = Cost::default();
        let functions = self.functions.iter().map(|(name, cost)| {
            let before = less.functions.get(name).unwrap_or(&none);
            let cost = Cost {
                own: (cost.own - before.own) / calls,
                whole: (cost.whole - before.whole) / calls,
                calls: (cost.calls - before.calls) / calls,
                allocations: (cost.allocations - before.allocations) / calls,
                copies: (cost.copies - before.copies) / calls,
            };
            (name.clone(), cost)
        });
        let files = self.files.iter().map(|(name, cost)| {
            let before = less.files.get(name).copied().unwrap_or_default();
            (name.clone(), (cost - before) / calls)
        });
        Self {
            functions: functions.collect(),
            files: files.collect(),
            total: (self.total - less.total) / calls,
        }
    }
}

/// Rust's default allocator, under the names that the compiler gives its layers.
fn is_allocator(function: &str) -> bool {
    let name = function.rsplit("::").next().unwrap_or_default();
    let name = name.strip_prefix("__rust_").or(name.strip_prefix("__rdl_"));
    matches!(name, Some("alloc" | "alloc_zeroed" | "realloc"))
}

/// The file in a line that says where what follows was written.
fn file_of(line: &str) -> Option<&str> {
    ["fl=", "fi=", "fe="]
        .iter()
        .find_map(|prefix| line.strip_prefix(prefix))
}

/// A path from its crate on: ours start with `crates/`, those of the standard library with `library/`.
fn short(path: &str) -> &str {
    let from = |part: &str| path.find(part).map(|at| &path[at + 1..]);
    let registry = path
        .split_once("/registry/src/")
        .and_then(|(_, rest)| rest.split_once('/'));
    let found = from("/crates/").or(registry.map(|(_, path)| path));
    found.or(from("/library/")).unwrap_or(path)
}

/// `(7) name` gives 7 its name; `(7)` refers to it.
fn full(text: &str, names: &mut BTreeMap<String, String>) -> String {
    match text.split_once(' ') {
        Some((number, name)) => {
            // What tells apart two functions of a name does not help a reader.
            let name = name.split('\'').next().unwrap_or(name);
            names.insert(number.to_owned(), name.to_owned());
            name.to_owned()
        }
        None => names.get(text).cloned().unwrap_or_default(),
    }
}

/// The cost in a line `position cost`; positions are numbers, `+n`, `-n` or `*`.
fn cost(line: &str) -> Option<f64> {
    let (position, cost) = line.split_once(' ')?;
    position
        .starts_with(|c: char| c.is_ascii_digit() || "+-*".contains(c))
        .then_some(())?;
    cost.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "events: Ir\nfl=(1) /a/crates/core/src/a.rs\nfn=(1) work\n10 5\n+2 7\ncfn=(2) __rustc::__rdl_alloc\ncalls=3 40\n* 60\n\
                       fn=(2)\n40 60\ntotals: 72\n";

    #[test]
    fn own_and_called_instructions_are_told_apart() {
        let profile = Profile::parse(RUN);
        let work = &profile.functions["work"];
        assert_eq!((work.own, work.whole, work.allocations), (12.0, 72.0, 3.0));
        assert_eq!(profile.functions["__rustc::__rdl_alloc"].calls, 3.0);
        assert_eq!(profile.total, 72.0);
        assert_eq!(profile.files["crates/core/src/a.rs"], 72.0);
    }

    #[test]
    fn what_happens_once_is_not_part_of_a_call() {
        let profile = Profile::parse(RUN);
        let calls = profile.per_call(&profile, 10.0);
        assert_eq!((calls.total, calls.functions["work"].own), (0.0, 0.0));
    }
}
