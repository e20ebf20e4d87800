//! `highball-transport`.
