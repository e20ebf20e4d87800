//! `highball-server`.
