//! `highball-echo`.
