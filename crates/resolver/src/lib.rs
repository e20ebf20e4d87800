//! `highball-resolver`.
