//! `highball-testkit`.
