//! `highball-channel`.
